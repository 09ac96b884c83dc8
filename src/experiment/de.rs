//! From a tree with places to typed specs: every mistake of the tree, each at its key or value, in words of our own.
//!
//! A deserializer gives up at its first error. So a value that was refused is set aside and the tree is read again
//! without it, until nothing new comes to light.

mod failure;

use self::failure::{Failure, Reason};
use super::diagnostic::{Mistake, Place, known_names, listed};
use super::node::{Key, Node, Value};
use crate::base::nearest;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};
use std::cell::RefCell;
use std::collections::HashMap;

/// A typed value from a tree. `name` is what messages call it; `beside` are names that stand beside the value's own keys.
///
/// # Errors
/// Everything that is wrong, in the order of the text.
pub fn read<T: DeserializeOwned>(node: &Node, name: &str, beside: &[&'static str]) -> Result<T, Vec<Mistake>> {
    let cx = Reading {
        root: id(node),
        beside,
        aside: RefCell::default(),
        unknown: RefCell::default(),
        empty: Node::empty(node.place),
    };
    let mut mistakes = Vec::new();
    let value = loop {
        match T::deserialize(Reader { node, name, cx: &cx }) {
            Ok(value) => break Some(value),
            Err(failure) => {
                let failure = failure.at(node, false);
                let (at, place) = failure.at.expect("it was placed");
                if !failure.silent {
                    let (message, help) = failure.words();
                    mistakes.push(Mistake { place: Some(place), message, help });
                }
                let before = cx.aside.borrow().get(&at).copied();
                match before {
                    _ if at == id(node) => break None,
                    Some(Aside::Refused) => break None,
                    Some(Aside::Unknown(_)) => {}
                    None => drop(cx.aside.borrow_mut().insert(at, Aside::Refused)),
                }
            }
        }
    };
    for mistake in cx.unknown.into_inner() {
        if !mistakes.contains(&mistake) {
            mistakes.push(mistake);
        }
    }
    match value {
        Some(value) if mistakes.is_empty() => Ok(value),
        _ => {
            mistakes.sort_by_key(|m| m.place);
            Err(mistakes)
        }
    }
}

/// What one reading of a tree shares.
struct Reading<'a> {
    root: usize,
    beside: &'a [&'static str],
    /// Values that were refused in an earlier pass.
    aside: RefCell<HashMap<usize, Aside>>,
    unknown: RefCell<Vec<Mistake>>,
    /// The content of a bare tag.
    empty: Node,
}

/// Why a value is left out of the next pass.
#[derive(Clone, Copy)]
enum Aside {
    /// It was refused.
    Refused,
    /// Its key is not known; here is what it comes near to.
    Unknown(Option<&'static str>),
}

impl Reading<'_> {
    fn aside(&self, node: &Node) -> Option<Aside> {
        let aside = self.aside.borrow();
        if aside.is_empty() { None } else { aside.get(&id(node)).copied() }
    }
}

/// Nodes are known by their address, which is fixed while the tree is borrowed.
fn id(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
    name: &'a str,
    cx: &'a Reading<'a>,
}

impl<'a> Reader<'a> {
    fn refuse(&self, expected: &str) -> Failure {
        Failure::new(format!("expected {expected}, got {}", self.node.described())).at(self.node, false)
    }

    fn integer(&self, low: i64, high: i64) -> Result<i64, Failure> {
        match &self.node.value {
            Value::Integer(value, _) if (low..=high).contains(value) => Ok(*value),
            Value::Integer(value, _) => Err(match (low, high) {
                _ if *value > high => self.refuse(&format!("a whole number up to {high}")),
                (0, _) => self.refuse("a whole number of 0 or more"),
                _ => self.refuse(&format!("a whole number from {low} to {high}")),
            }),
            #[expect(clippy::cast_possible_truncation, reason = "it is a whole number that fits")]
            Value::Float(value, _) if value.fract() == 0.0 && value.abs() < 1e15 => {
                Err(self.refuse("a whole number").with_help(format!("write `{}`", *value as i64)))
            }
            Value::String(_) | Value::Float(..) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) => {
                Err(self.refuse("a whole number"))
            }
        }
    }

    fn map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Some(table) = self.node.table() else { return Err(self.refuse("a table")) };
        let mut entries =
            Entries { reader: self, entries: table.iter(), value: None, skipped: false, meant: Vec::new() };
        visitor.visit_map(&mut entries).map_err(|mut failure| {
            let mut silent = entries.skipped;
            if failure.at.is_none()
                && let Reason::Missing { field, of } = &mut failure.reason
            {
                self.name.clone_into(of);
                // A misspelled key has been reported; that the right one is missing follows from it.
                silent |= entries.meant.contains(field);
            }
            failure.at(self.node, silent)
        })
    }

    fn seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        let Some(items) = self.node.array() else { return Err(self.refuse("a list")) };
        let mut items = Items { reader: self, items: items.iter(), skipped: false };
        visitor.visit_seq(&mut items).map_err(|failure| failure.at(self.node, items.skipped))
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty, $low:expr, $high:expr;)*) => {
        $(
            fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
                let value = self.integer($low, $high)?;
                visitor.$visit(<$type>::try_from(value).expect("it lies in the type's range"))
            }
        )*
    };
}

impl<'a> de::Deserializer<'a> for Reader<'a> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(value, _) => visitor.visit_i64(*value),
            Value::Float(value, _) => visitor.visit_f64(*value),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Array(_) => self.seq(visitor),
            Value::Table(_) => self.map(visitor),
        }
    }

    integers! {
        deserialize_u8 visit_u8 u8, 0, i64::from(u8::MAX);
        deserialize_u16 visit_u16 u16, 0, i64::from(u16::MAX);
        deserialize_u32 visit_u32 u32, 0, i64::from(u32::MAX);
        deserialize_u64 visit_u64 u64, 0, i64::MAX;
        deserialize_i8 visit_i8 i8, i64::from(i8::MIN), i64::from(i8::MAX);
        deserialize_i16 visit_i16 i16, i64::from(i16::MIN), i64::from(i16::MAX);
        deserialize_i32 visit_i32 i32, i64::from(i32::MIN), i64::from(i32::MAX);
        deserialize_i64 visit_i64 i64, i64::MIN, i64::MAX;
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        #[expect(clippy::cast_precision_loss, reason = "a whole number where a number is meant")]
        match &self.node.value {
            Value::Float(value, _) if value.is_finite() => visitor.visit_f64(*value),
            Value::Float(..) => Err(self.refuse("a finite number")),
            Value::Integer(value, _) => visitor.visit_f64(*value as f64),
            Value::String(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) => Err(self.refuse("a number")),
        }
    }

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::String(_) | Value::Integer(..) | Value::Float(..) | Value::Array(_) | Value::Table(_) => {
                Err(self.refuse("`true` or `false`"))
            }
        }
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.node.str() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => Err(self.refuse("a text in quotes")),
        }
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.seq(visitor)
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        match self.node.array() {
            Some(items) if items.len() != length => {
                Err(Failure::new(format!("expected a list of {length}, got {}", items.len())).at(self.node, false))
            }
            _ => self.seq(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        kinds: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let choice =
            |tag: &'a str, place: Place, content: Option<&'a Node>| Choice { reader: self, tag, place, content };
        match &self.node.value {
            Value::String(tag) => visitor.visit_enum(choice(tag, self.node.place, None)),
            Value::Table(table) => match table.as_slice() {
                [(key, content)] => visitor.visit_enum(choice(&key.name, key.place, Some(content))),
                [] => Err(Failure::new(format!("`{}` names no kind", self.name))
                    .with_help(format!("known here: {}", listed(kinds.iter().copied())))
                    .at(self.node, false)),
                [(first, _), ..] => Err(self.not_one_kind(table, first, kinds)),
            },
            Value::Integer(..) | Value::Float(..) | Value::Boolean(_) | Value::Array(_) => Err(self
                .refuse("the name of a kind")
                .with_help(format!("known here: {}", listed(kinds.iter().copied())))),
        }
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { <W: Visitor<'a>> i128 u128 char bytes byte_buf unit unit_struct tuple_struct }
}

impl Reader<'_> {
    /// A choice names one kind; this table has several keys.
    fn not_one_kind(&self, table: &[(Key, Node)], first: &Key, kinds: &'static [&'static str]) -> Failure {
        let (known, strange): (Vec<&Key>, Vec<&Key>) =
            table.iter().map(|(key, _)| key).partition(|key| kinds.contains(&&*key.name));
        match (known.as_slice(), strange.first()) {
            ([only], Some(key)) => Failure::new(format!("`{}` stands beside `{}`", key.name, only.name))
                .with_help(format!(
                    "a setting of `{0}` belongs inside it, as in `{0} = {{ {1} = … }}`",
                    only.name, key.name
                ))
                .at_place(self.node, key.place, false),
            ([], _) => Failure::because(Reason::UnknownKind {
                name: first.name.to_string(),
                of: self.name.to_owned(),
                known: kinds,
            })
            .at_place(self.node, first.place, false),
            (known, _) => {
                let count = match known.len() {
                    2 => "two".to_owned(),
                    3 => "three".to_owned(),
                    n => n.to_string(),
                };
                let names: Vec<_> = known.iter().map(|key| format!("`{}`", key.name)).collect();
                let (last, others) = names.split_last().expect("there are at least two");
                Failure::new(format!("`{}` names {count} kinds, {} and {last}: keep one", self.name, others.join(", ")))
                    .at_place(self.node, known[1].place, false)
            }
        }
    }
}

/// The entries of a table.
struct Entries<'a> {
    reader: Reader<'a>,
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a (Key, Node)>,
    /// Whether an entry that was refused before has been left out.
    skipped: bool,
    /// Known names that unknown keys come near to.
    meant: Vec<&'static str>,
}

impl<'a> Entries<'a> {
    /// The next entry that no earlier pass has set aside.
    fn advance(&mut self) -> Option<&'a (Key, Node)> {
        let cx = self.reader.cx;
        loop {
            let entry = self.entries.next()?;
            match cx.aside(&entry.1) {
                None => return Some(entry),
                Some(Aside::Refused) => self.skipped = true,
                Some(Aside::Unknown(meant)) => self.meant.extend(meant),
            }
        }
    }

    /// Reports a key that is not known; the next pass leaves it out.
    fn unknown_key(&self, key: &Key, node: &Node, name: &str, known: &'static [&'static str]) -> Failure {
        let cx = self.reader.cx;
        let beside = if id(self.reader.node) == cx.root { cx.beside } else { &[] };
        let (names, near) = nearest(name, known.iter().chain(beside).copied());
        let meant = known.iter().copied().find(|k| near && *k == names[0]);
        let message = match self.reader.name {
            "" => format!("unknown key `{name}`"),
            table => format!("unknown key `{name}` in `{table}`"),
        };
        let help = known_names(name, names.iter().copied());
        cx.unknown.borrow_mut().push(Mistake { place: Some(key.place), message, help });
        cx.aside.borrow_mut().insert(id(node), Aside::Unknown(meant));
        Failure { silent: true, ..Failure::new("an unknown key") }.at_place(node, key.place, true)
    }
}

impl<'a> de::MapAccess<'a> for &mut Entries<'a> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some(entry) = self.advance() else { return Ok(None) };
        let (key, node) = entry;
        self.value = Some(entry);
        match seed.deserialize(de::value::BorrowedStrDeserializer::<Failure>::new(&key.name)) {
            Ok(found) => Ok(Some(found)),
            Err(Failure { reason: Reason::UnknownKey { name, known }, .. }) => {
                Err(self.unknown_key(key, node, &name, known))
            }
            Err(failure) => Err(failure.at_place(node, key.place, false)),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let (key, node) = self.value.take().expect("a value follows its key");
        seed.deserialize(Reader { node, name: &key.name, cx: self.reader.cx })
            .map_err(|failure| failure.at(node, false))
    }
}

/// The items of a list.
struct Items<'a> {
    reader: Reader<'a>,
    items: std::slice::Iter<'a, Node>,
    skipped: bool,
}

impl<'a> de::SeqAccess<'a> for &mut Items<'a> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        for node in self.items.by_ref() {
            if self.reader.cx.aside(node).is_some() {
                self.skipped = true;
                continue;
            }
            let reader = Reader { node, ..self.reader };
            return seed.deserialize(reader).map(Some).map_err(|failure| failure.at(node, false));
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// A choice: a tag, with or without content.
struct Choice<'a> {
    reader: Reader<'a>,
    tag: &'a str,
    place: Place,
    content: Option<&'a Node>,
}

impl<'a> Choice<'a> {
    /// The content's value; a bare tag stands for a table without keys.
    fn content<T>(self, read: impl FnOnce(Reader<'a>) -> Result<T, Failure>) -> Result<T, Failure> {
        let cx = self.reader.cx;
        let node = self.content.unwrap_or(&cx.empty);
        if cx.aside(node).is_some() {
            return Err(Failure { silent: true, ..Failure::new("refused before") }.at(self.reader.node, true));
        }
        let failure = match read(Reader { node, name: self.tag, cx }) {
            Ok(value) => return Ok(value),
            Err(failure) => failure.at(node, false),
        };
        if self.content.is_some() {
            return Err(failure);
        }
        let tag = self.tag;
        let failure = match failure.reason {
            Reason::Missing { field, .. } => Failure::new(format!("`{tag}` needs `{field}`"))
                .with_help(format!("write `{{ {tag} = {{ {field} = … }} }}`")),
            Reason::Words(_) | Reason::UnknownKey { .. } | Reason::UnknownKind { .. } => {
                Failure::new(format!("`{tag}` needs a value")).with_help(format!("write `{{ {tag} = … }}`"))
            }
        };
        Err(failure.at_place(self.reader.node, self.place, false))
    }
}

impl<'a> de::EnumAccess<'a> for Choice<'a> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        match seed.deserialize(de::value::BorrowedStrDeserializer::<Failure>::new(self.tag)) {
            Ok(kind) => Ok((kind, self)),
            Err(mut failure) => {
                if let Reason::UnknownKind { of, .. } = &mut failure.reason {
                    self.reader.name.clone_into(of);
                }
                Err(failure.at_place(self.reader.node, self.place, false))
            }
        }
    }
}

impl<'a> de::VariantAccess<'a> for Choice<'a> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        match self.content {
            Some(node) if node.table().is_none_or(|t| !t.is_empty()) => {
                let place = node.table().and_then(|t| t.first()).map_or(node.place, |(key, _)| key.place);
                Err(Failure::new(format!("`{}` takes no settings", self.tag))
                    .with_help(format!("write `\"{}\"`", self.tag))
                    .at_place(self.reader.node, place, false))
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Failure> {
        self.content(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        self.content(|reader| de::Deserializer::deserialize_tuple(reader, length, visitor))
    }

    fn struct_variant<V: Visitor<'a>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.content(|reader| reader.map(visitor))
    }
}

#[cfg(test)]
mod tests;
