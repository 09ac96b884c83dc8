//! A TOML document as a tree that remembers where each key and value was written, and how each number was spelled.
//!
//! Clones are cheap (shared until changed), so that a thousand cells of a grid cost a thousand small changes.

use super::diagnostic::{Mistake, Place, SourceId, listed};
use super::schema::{Grammar, is_document};
use super::text::{inline_text, toml_text};
use crate::base::nearest;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written; for a table with a header, the header.
    pub place: Place,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text.
    String(Arc<str>),
    /// A whole number and its spelling.
    Integer(i64, Arc<str>),
    /// A number and its spelling.
    Float(f64, Arc<str>),
    /// True or false.
    Boolean(bool),
    /// A list.
    Array(Arc<Vec<Node>>),
    /// A table, in the order written.
    Table(Arc<Table>),
}

/// Keys with their values, in the order written.
pub type Table = Vec<(Key, Node)>;

/// A key with its place.
#[derive(Clone, Debug)]
pub struct Key {
    /// The name without quotes.
    pub name: Arc<str>,
    /// Where it was written.
    pub place: Place,
}

impl Key {
    /// A key.
    pub fn new(name: impl Into<Arc<str>>, place: Place) -> Self {
        Self { name: name.into(), place }
    }
}

impl Node {
    /// A table without keys.
    pub fn empty(place: Place) -> Self {
        Self { value: Value::Table(Arc::default()), place }
    }

    /// A text.
    pub fn text(text: impl Into<Arc<str>>, place: Place) -> Self {
        Self { value: Value::String(text.into()), place }
    }

    /// The tree of a document.
    ///
    /// # Errors
    /// If it is not TOML, or holds a date.
    pub fn parse(text: &str, source: SourceId) -> Result<Self, Mistake> {
        let table = DeTable::parse(text).map_err(|e| syntax(&e, source))?;
        let span = table.span();
        convert_table(table.get_ref(), Place::new(source, span.start..span.start), text, source)
    }

    /// The tree of one value that starts at byte `offset` of a source.
    ///
    /// # Errors
    /// If it is not a TOML value.
    pub fn parse_value(text: &str, offset: usize, source: SourceId) -> Result<Self, Mistake> {
        let lead = offset + (text.len() - text.trim_start().len());
        let text = text.trim();
        let mut node = DeValue::parse(text).map_err(|e| syntax(&e, source)).and_then(|v| convert(&v, text, source));
        match &mut node {
            Ok(node) => node.shift(lead),
            Err(mistake) => mistake.place.as_mut().map(|place| place.shift(lead)).unwrap_or_default(),
        }
        node
    }

    /// Moves all places to the right.
    fn shift(&mut self, by: usize) {
        self.place.shift(by);
        for (key, node) in self.table_mut().into_iter().flatten() {
            key.place.shift(by);
            node.shift(by);
        }
        self.array_mut().into_iter().flatten().for_each(|node| node.shift(by));
    }

    /// The entries of a table; `None` of anything else.
    pub fn table(&self) -> Option<&Table> {
        if let Value::Table(table) = &self.value { Some(table) } else { None }
    }

    /// The entries of a table, to change them.
    pub fn table_mut(&mut self) -> Option<&mut Table> {
        if let Value::Table(table) = &mut self.value { Some(Arc::make_mut(table)) } else { None }
    }

    /// The items of a list; `None` of anything else.
    pub fn array(&self) -> Option<&[Self]> {
        if let Value::Array(items) = &self.value { Some(items) } else { None }
    }

    /// The items of a list, to change them.
    pub fn array_mut(&mut self) -> Option<&mut Vec<Self>> {
        if let Value::Array(items) = &mut self.value { Some(Arc::make_mut(items)) } else { None }
    }

    /// The text; `None` of anything else.
    pub fn str(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// The entry of a table.
    pub fn entry(&self, name: &str) -> Option<(&Key, &Self)> {
        self.table()?.iter().find(|(key, _)| &*key.name == name).map(|(key, node)| (key, node))
    }

    /// The value under a key.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }

    /// Takes a key out of a table.
    pub fn remove(&mut self, name: &str) -> Option<(Key, Self)> {
        let at = self.table()?.iter().position(|(key, _)| &*key.name == name)?;
        Some(self.table_mut()?.remove(at))
    }

    /// Puts a value under a key, in the place of the one that is there.
    pub fn put(&mut self, key: Key, value: Self) {
        if self.table().is_none() {
            self.value = Value::Table(Arc::default());
        }
        let table = self.table_mut().expect("it was made a table");
        match table.iter_mut().find(|(k, _)| k.name == key.name) {
            Some(entry) => *entry = (key, value),
            None => table.push((key, value)),
        }
    }

    /// The place of what a dotted path names, or of the longest beginning of it that exists.
    ///
    /// A key's own place stands for tables, since their headers may lie elsewhere.
    pub fn place_of(&self, path: &str) -> Place {
        let mut node = self;
        let mut place = self.place;
        for name in path.split('.') {
            match &node.value {
                Value::Table(_) => match node.entry(name) {
                    Some((key, inner)) => {
                        place = if inner.table().is_some() { key.place } else { inner.place };
                        node = inner;
                    }
                    None => break,
                },
                Value::Array(items) => match name.parse::<usize>().ok().and_then(|i| items.get(i)) {
                    Some(item) => {
                        place = item.place;
                        node = item;
                    }
                    None => break,
                },
                // The name of a bare tag is the tag itself.
                Value::String(_) | Value::Integer(..) | Value::Float(..) | Value::Boolean(_) => break,
            }
        }
        place
    }

    /// What it is, for a message: `the text "abc"`, `3`, `a list`.
    pub fn described(&self) -> String {
        match &self.value {
            Value::String(text) => format!("the text \"{text}\""),
            Value::Integer(_, spelled) | Value::Float(_, spelled) => spelled.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Array(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// The value for a name or a table: texts without quotes, numbers as they were spelled.
    pub fn spelled(&self) -> String {
        match self.str() {
            Some(text) => text.to_owned(),
            None => inline_text(self),
        }
    }

    /// The same values without places.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::String(text) => Json::from(&**text),
            Value::Integer(value, _) => Json::from(*value),
            Value::Float(value, _) => Json::from(*value),
            Value::Boolean(value) => Json::from(*value),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(table) => {
                Json::Object(table.iter().map(|(key, node)| (key.name.to_string(), node.to_json())).collect())
            }
        }
    }

    /// The whole document as TOML text: plain keys first, then a section a table, lists of tables as `[[…]]` at the end.
    pub fn to_toml(&self) -> String {
        toml_text(self)
    }
}

fn syntax(error: &toml::de::Error, source: SourceId) -> Mistake {
    let place = Place::new(source, error.span().unwrap_or(0..0));
    Mistake::at(place, format!("not TOML: {}", error.message()))
}

fn convert_table(table: &DeTable<'_>, place: Place, text: &str, source: SourceId) -> Result<Node, Mistake> {
    let entries = table
        .iter()
        .map(|(key, value)| {
            Ok((Key::new(key.get_ref().as_ref(), Place::new(source, key.span())), convert(value, text, source)?))
        })
        .collect::<Result<Table, Mistake>>()?;
    Ok(Node { value: Value::Table(Arc::new(entries)), place })
}

fn convert(value: &toml::Spanned<DeValue<'_>>, text: &str, source: SourceId) -> Result<Node, Mistake> {
    let span = value.span();
    let place = Place::new(source, span.clone());
    let spelled = || -> Arc<str> { text.get(span.clone()).unwrap_or_default().into() };
    let value = match value.get_ref() {
        DeValue::String(text) => Value::String(text.as_ref().into()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) => Value::Integer(value, spelled()),
            Err(_) => return Err(Mistake::at(place, "a whole number that does not fit into 64 bits")),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(value) => Value::Float(value, spelled()),
            Err(_) => return Err(Mistake::at(place, "a number that cannot be read")),
        },
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => {
            return Err(Mistake::at(place, "no key takes a date").with_help("put it in quotes if a text is meant"));
        }
        DeValue::Array(items) => {
            Value::Array(Arc::new(items.iter().map(|item| convert(item, text, source)).collect::<Result<_, _>>()?))
        }
        DeValue::Table(table) => return convert_table(table, place, text, source),
    };
    Ok(Node { value, place })
}

/// The segments of a dotted key that begins at byte `offset` of a source: `loss.adversarial`, `grid."loss.adversarial"`.
///
/// # Errors
/// If it is empty or a quote is not closed.
pub fn parse_path(text: &str, offset: usize, source: SourceId) -> Result<Vec<Key>, Mistake> {
    let whole = Place::new(source, offset..offset + text.len());
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        let start = offset + (text.len() - rest.len());
        let (name, length) = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let Some(end) = rest[1..].find(quote) else {
                    return Err(Mistake::at(whole, "a quote in this key is not closed"));
                };
                (&rest[1..=end], end + 2)
            }
            _ => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].trim(), end)
            }
        };
        if name.is_empty() {
            return Err(Mistake::at(whole, "a key with an empty part").with_help("write it as `section.key`"));
        }
        keys.push(Key::new(name, Place::new(source, start..start + length)));
        rest = &rest[length..];
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None if rest.trim().is_empty() => return Ok(keys),
            None => return Err(Mistake::at(whole, "text after a quoted part of a key")),
        }
    }
}

/// The segments as one dotted name.
pub fn dotted(path: &[Key]) -> String {
    path.iter().map(|key| &*key.name).collect::<Vec<_>>().join(".")
}

/// Lays a document over another: what it says wins, table by table.
///
/// Where a table is a choice (`data`, `loss.adversarial`, …) and the two name different kinds, the kind is replaced with
/// all its settings; where they name the same kind, the settings are laid over each other.
pub fn merge(base: &mut Node, over: &Node, grammar: &Grammar) {
    lay(base, over, grammar, &mut Vec::new());
}

fn lay(base: &mut Node, over: &Node, grammar: &Grammar, path: &mut Vec<Arc<str>>) {
    let Some(entries) = over.table() else {
        // A bare tag says the kind and nothing of its settings.
        let same_kind = over.str().is_some_and(|tag| {
            base.table().is_some_and(|t| t.len() == 1 && &*t[0].0.name == tag) && grammar.tags(path).is_some()
        });
        if !same_kind {
            *base = over.clone();
        }
        return;
    };
    let Some(table) = base.table() else {
        *base = over.clone();
        return;
    };
    let another_kind = || table.len() == 1 && entries.len() == 1 && table[0].0.name != entries[0].0.name;
    if is_document(path) || another_kind() && grammar.tags(path).is_some() {
        *base = over.clone();
        return;
    }
    base.place = over.place;
    for (key, value) in entries {
        let table = base.table_mut().expect("it is a table");
        if let Some((old, inner)) = table.iter_mut().find(|(k, _)| k.name == key.name) {
            old.place = key.place;
            path.push(key.name.clone());
            lay(inner, value, grammar, path);
            path.pop();
        } else {
            table.push((key.clone(), value.clone()));
        }
    }
}

/// The parts that a dotted path may have: trees are walked by recursion.
const DEEPEST: usize = 64;

/// Sets what a dotted path names. Tables on the way are made; at a choice another kind replaces the one that is there; a
/// table that is not a choice is laid over what is there.
///
/// # Errors
/// If the path is too long, goes through a list at an item that is not there, or through a choice by a name that is no kind of it.
pub fn set(root: &mut Node, path: &[Key], value: Node, grammar: &Grammar) -> Result<(), Mistake> {
    if let Some(key) = path.get(DEEPEST) {
        return Err(Mistake::at(key.place, format!("a key of {} parts; none has more than {DEEPEST}", path.len())));
    }
    let mut node = root;
    for (depth, key) in path.iter().enumerate() {
        let last = depth + 1 == path.len();
        let here = &path[..depth];
        let names = || here.iter().map(|k| k.name.clone()).collect::<Vec<_>>();
        if let Some(count) = node.array().map(<[Node]>::len) {
            let Some(item) = key.name.parse::<usize>().ok().filter(|i| *i < count) else {
                return Err(Mistake::at(key.place, format!("`{}` has no item `{}`", dotted(here), key.name))
                    .with_help(match count {
                        0 => "the list is empty".to_owned(),
                        n => format!("its items are 0 to {}", n - 1),
                    }));
            };
            node = &mut node.array_mut().expect("it is a list")[item];
            if last {
                *node = value;
                return Ok(());
            }
            continue;
        }
        if node.table().is_none() {
            // A bare tag is a table with that one key.
            let same = node.str() == Some(&*key.name);
            if let Some(tag) = node.str().filter(|_| !same) {
                no_such_kind(grammar, &names(), here, key, &path[depth + 1..], Some(tag))?;
            }
            *node = Node::empty(key.place);
            if same {
                node.put(key.clone(), Node::empty(key.place));
            }
        } else if node.get(&key.name).is_none() && node.table().is_some_and(|t| !t.is_empty()) {
            let tag = node.table().and_then(|t| t.first()).map(|(k, _)| k.name.clone());
            if no_such_kind(grammar, &names(), here, key, &path[depth + 1..], tag.as_deref())? {
                *node = Node::empty(key.place);
            }
        }
        let table = node.table_mut().expect("it was made a table");
        let at = table.iter().position(|(k, _)| k.name == key.name).unwrap_or_else(|| {
            table.push((key.clone(), Node::empty(key.place)));
            table.len() - 1
        });
        let entry = &mut table[at];
        node = &mut entry.1;
        if last {
            entry.0.place = key.place;
            let mut names: Vec<_> = path.iter().map(|k| k.name.clone()).collect();
            if value.table().is_some() && node.table().is_some() && !grammar.is_whole(&names) {
                lay(node, &value, grammar, &mut names);
            } else {
                *node = value;
            }
            return Ok(());
        }
    }
    Ok(())
}

/// Whether `key` names a kind at the choice `here`; an error where this is a choice and it does not.
fn no_such_kind(
    grammar: &Grammar,
    names: &[Arc<str>],
    here: &[Key],
    key: &Key,
    rest: &[Key],
    tag: Option<&str>,
) -> Result<bool, Mistake> {
    let Some(tags) = grammar.tags(names) else { return Ok(false) };
    if tags.iter().any(|t| *t == &*key.name) {
        return Ok(true);
    }
    let place = dotted(here);
    let (ordered, near) = nearest(&key.name, tags.iter().copied());
    let help = match tag {
        Some(tag) if !near => {
            let rest: String = rest.iter().map(|k| format!(".{}", k.name)).collect();
            format!(
                "its settings lie one level deeper, as in `{place}.{tag}.{}{rest}`; kinds: {}",
                key.name,
                listed(ordered)
            )
        }
        _ => format!("kinds, the nearest first: {}", listed(ordered)),
    };
    Err(Mistake::at(key.place, format!("`{place}` has no kind `{}`", key.name)).with_help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Node {
        Node::parse(text, SourceId(0)).expect("the test's text is TOML")
    }

    fn apply(base: &str, path: &str, value: &str) -> Result<String, String> {
        let mut node = parse(base);
        let path = parse_path(path, 0, SourceId(0)).expect("a path");
        let value = Node::parse_value(value, 0, SourceId(0)).expect("a value");
        set(&mut node, &path, value, Grammar::get())
            .map_err(|m| format!("{} | {}", m.message, m.help.unwrap_or_default()))?;
        Ok(node.to_json().to_string())
    }

    #[test]
    fn places_lead_back_to_what_was_written_and_numbers_keep_their_spelling() {
        let text = "[optimizer]\ngenerator = { adam = { lr = 2e-4 } }\n";
        let node = parse(text);
        let place = node.place_of("optimizer.generator.adam.lr");
        assert_eq!(&text[place.start as usize..place.end as usize], "2e-4");
        let place = node.place_of("optimizer.generator.adam.betas.0");
        assert_eq!(&text[place.start as usize..place.end as usize], "adam");
        assert_eq!(
            node.get("optimizer").expect("there").get("generator").expect("there").spelled(),
            "{ adam = { lr = 2e-4 } }"
        );
    }

    #[test]
    fn a_set_replaces_the_kind_of_a_choice_and_keeps_the_rest() {
        let base = "[loss]\nadversarial = { least-squares = { real = 0.9 } }\nlabel-smoothing = 0.9";
        assert_eq!(
            apply(base, "loss.adversarial", "\"hinge\"").expect("sets"),
            r#"{"loss":{"adversarial":"hinge","label-smoothing":0.9}}"#
        );
        assert_eq!(
            apply("[optimizer]\ngenerator = \"adam\"", "optimizer.generator.adam.lr", "1e-3").expect("sets"),
            r#"{"optimizer":{"generator":{"adam":{"lr":0.001}}}}"#
        );
        assert_eq!(
            apply("[optimizer.generator.sgd]\nlr = 1.0", "optimizer.generator.adam.lr", "1e-3").expect("sets"),
            r#"{"optimizer":{"generator":{"adam":{"lr":0.001}}}}"#
        );
        assert_eq!(
            apply("[loss]\npenalties = [\"dragan\", { r1 = { weight = 1 } }]", "loss.penalties.1.r1.weight", "5")
                .expect("sets"),
            r#"{"loss":{"penalties":["dragan",{"r1":{"weight":5}}]}}"#
        );
    }

    #[test]
    fn a_path_that_forgets_the_kind_or_overshoots_a_list_is_an_error() {
        let wrong =
            apply("[optimizer.generator.adam]\nlr = 1.0", "optimizer.generator.lr", "1e-3").expect_err("no kind");
        assert!(wrong.starts_with("`optimizer.generator` has no kind `lr`"), "{wrong}");
        assert!(wrong.contains("`optimizer.generator.adam.lr`"), "{wrong}");
        let wrong = apply("[loss]\npenalties = [\"dragan\"]", "loss.penalties.3", "\"dragan\"").expect_err("no item");
        assert_eq!(wrong, "`loss.penalties` has no item `3` | its items are 0 to 0");
    }

    #[test]
    fn a_document_laid_over_another_wins_table_by_table_and_replaces_other_kinds() {
        let mut base = parse(
            "[optimizer]\ngenerator = { adam = { lr = 1e-3, eps = 1e-6 } }\ndiscriminator = \"sgd\"\n[schedule]\nsteps = 1\nbatch = 2",
        );
        let over = parse(
            "schedule.steps = 9\n[optimizer]\ngenerator = { adam = { lr = 1.0 } }\ndiscriminator = { rmsprop = {} }",
        );
        merge(&mut base, &over, Grammar::get());
        assert_eq!(
            base.to_json().to_string(),
            r#"{"optimizer":{"generator":{"adam":{"lr":1.0,"eps":1e-6}},"discriminator":{"rmsprop":{}}},"schedule":{"steps":9,"batch":2}}"#
        );
        merge(&mut base, &parse("optimizer.generator = { sgd = { lr = 2 } }"), Grammar::get());
        assert_eq!(
            base.get("optimizer").and_then(|o| o.get("generator")).map(Node::spelled).as_deref(),
            Some("{ sgd = { lr = 2 } }")
        );
    }

    #[test]
    fn quoted_parts_of_a_path_keep_their_dots() {
        let path = parse_path("grid.\"loss.adversarial\"", 0, SourceId(0)).expect("a path");
        assert_eq!(path.iter().map(|k| &*k.name).collect::<Vec<_>>(), ["grid", "loss.adversarial"]);
        assert!(parse_path("a..b", 0, SourceId(0)).is_err());
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value as Json;
        let leaf = prop_oneof![
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            (-1e9..1e9f64).prop_map(Json::from),
            "[ -~é\n\"\\\\]{0,12}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[a-z. -]{0,6}", inner, 0..4)
                    .prop_map(|m| Json::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_printed_parses_to_the_same(entries in prop::collection::btree_map("[a-z.]{1,6}", values(), 0..5)) {
            let mut json = serde_json::Value::Object(entries.into_iter().collect());
            let text = toml_text(&json);
            let node = Node::parse(&text, SourceId(0)).map_err(|m| TestCaseError::fail(format!("{}\n{text}", m.message)))?;
            prop_assert_eq!(&node.to_toml(), &text);
            let mut back = node.to_json();
            json.sort_all_objects();
            back.sort_all_objects();
            prop_assert_eq!(back, json, "{}", text);
        }
    }
}
