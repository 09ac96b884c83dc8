//! TOML text of trees: of documents as they were spelled, and of resolved cells.

use super::node::{Node, Value};
use serde_json::Value as Json;
use std::borrow::Cow;

/// What can be written as TOML.
pub trait Tree: Sized {
    /// What it is.
    fn shape(&self) -> Shape<'_, Self>;
}

/// What a value is.
pub enum Shape<'a, T> {
    /// Nothing: its key is left out.
    Absent,
    /// A text.
    Text(&'a str),
    /// A number or a switch as it is spelled.
    Plain(Cow<'a, str>),
    /// A list.
    List(&'a [T]),
    /// A table.
    Table(Vec<(&'a str, &'a T)>),
}

impl Tree for Node {
    fn shape(&self) -> Shape<'_, Self> {
        match &self.value {
            Value::String(text) => Shape::Text(text),
            Value::Integer(_, spelled) | Value::Float(_, spelled) => Shape::Plain(Cow::Borrowed(spelled)),
            Value::Boolean(value) => Shape::Plain(Cow::Borrowed(if *value { "true" } else { "false" })),
            Value::Array(items) => Shape::List(items),
            Value::Table(table) => Shape::Table(table.iter().map(|(key, node)| (&*key.name, node)).collect()),
        }
    }
}

impl Tree for Json {
    fn shape(&self) -> Shape<'_, Self> {
        match self {
            Json::Null => Shape::Absent,
            Json::String(text) => Shape::Text(text),
            Json::Bool(value) => Shape::Plain(Cow::Borrowed(if *value { "true" } else { "false" })),
            Json::Number(number) => Shape::Plain(Cow::Owned(match number.as_i64() {
                Some(value) => value.to_string(),
                None => format!("{:?}", number.as_f64().unwrap_or(f64::NAN)),
            })),
            Json::Array(items) => Shape::List(items),
            Json::Object(table) => {
                let there = |(_, value): &(&String, &Json)| !value.is_null();
                Shape::Table(table.iter().filter(there).map(|(name, value)| (name.as_str(), value)).collect())
            }
        }
    }
}

/// A whole document: plain keys first, then a section a table, lists of tables as `[[…]]` at the end.
pub fn toml_text<T: Tree>(root: &T) -> String {
    toml_of(entries(root))
}

/// As [`toml_text`], of the document's top keys with their values.
pub fn toml_of<T: Tree>(entries: Vec<(&str, &T)>) -> String {
    let mut text = String::with_capacity(1536);
    let (mut sections, mut lists) = (Vec::new(), Vec::new());
    for (name, value) in entries {
        match value.shape() {
            Shape::Table(table) => sections.push((name, table)),
            Shape::List(items) if !items.is_empty() && items.iter().all(is_table) => lists.push((name, items)),
            Shape::Absent | Shape::Text(_) | Shape::Plain(_) | Shape::List(_) => write_entry(&mut text, name, value),
        }
    }
    for (name, mut table) in sections {
        text.push_str("\n[");
        write_key(&mut text, name);
        // A choice: `[data.gaussian]`.
        if let [(tag, content)] = table.as_slice()
            && let Shape::Table(inner) = content.shape()
        {
            text.push('.');
            write_key(&mut text, tag);
            table = inner;
        }
        text.push_str("]\n");
        table.into_iter().for_each(|(name, value)| write_entry(&mut text, name, value));
    }
    // Lists of tables last: a section after them would belong to their last item.
    for (name, items) in lists {
        for item in items {
            text.push_str("\n[[");
            write_key(&mut text, name);
            text.push_str("]]\n");
            self::entries(item).into_iter().for_each(|(name, value)| write_entry(&mut text, name, value));
        }
    }
    text
}

/// A value in one line.
pub fn inline_text<T: Tree>(value: &T) -> String {
    let mut text = String::new();
    write_inline(&mut text, value);
    text
}

/// The entries of a table; none of anything else.
pub fn entries<T: Tree>(value: &T) -> Vec<(&str, &T)> {
    match value.shape() {
        Shape::Table(table) => table,
        Shape::Absent | Shape::Text(_) | Shape::Plain(_) | Shape::List(_) => Vec::new(),
    }
}

fn is_table<T: Tree>(value: &T) -> bool {
    matches!(value.shape(), Shape::Table(_))
}

fn write_key(text: &mut String, name: &str) {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        text.push_str(name);
    } else {
        write_text(text, name);
    }
}

fn write_text(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if c.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

fn write_inline<T: Tree>(text: &mut String, value: &T) {
    match value.shape() {
        Shape::Absent => {}
        Shape::Text(value) => write_text(text, value),
        Shape::Plain(spelled) => text.push_str(&spelled),
        Shape::List(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    text.push_str(", ");
                }
                write_inline(text, item);
            }
            text.push(']');
        }
        Shape::Table(table) => write_table(text, &table, write_inline),
    }
}

fn write_table<T: Tree>(text: &mut String, table: &[(&str, &T)], mut write: impl FnMut(&mut String, &T)) {
    if table.is_empty() {
        return text.push_str("{}");
    }
    text.push_str("{ ");
    for (i, (name, value)) in table.iter().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        write_key(text, name);
        text.push_str(" = ");
        write(text, value);
    }
    text.push_str(" }");
}

/// Columns from which on a value is broken.
const WIDTH: usize = 110;

fn write_entry<T: Tree>(text: &mut String, name: &str, value: &T) {
    let start = text.len();
    write_key(text, name);
    text.push_str(" = ");
    let head = text.len();
    write_inline(text, value);
    if text.len() - start > WIDTH {
        text.truncate(head);
        write_broken(text, value, 0);
    }
    text.push('\n');
}

/// A value over several lines: lists break; inline tables may not, but lists within them may.
fn write_broken<T: Tree>(text: &mut String, value: &T, indent: usize) {
    match value.shape() {
        Shape::List(items) if !items.is_empty() => {
            text.push_str("[\n");
            for item in items {
                text.push_str(&" ".repeat(indent + 4));
                let start = text.len();
                write_inline(text, item);
                if text.len() - start + indent > WIDTH {
                    text.truncate(start);
                    write_broken(text, item, indent + 4);
                }
                text.push_str(",\n");
            }
            text.push_str(&" ".repeat(indent));
            text.push(']');
        }
        Shape::Table(table) => write_table(text, &table, |text, value| {
            let start = text.len();
            write_inline(text, value);
            if text.len() - start > WIDTH / 2 {
                text.truncate(start);
                write_broken(text, value, indent);
            }
        }),
        Shape::Absent | Shape::Text(_) | Shape::Plain(_) | Shape::List(_) => write_inline(text, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_section_and_long_lists_take_a_line_an_item() {
        let json = serde_json::json!({
            "claims": [{ "says": "a \"quote\"", "at-most": 1.0 }],
            "data": { "gaussian": { "mean": 4.0, "dim": null } },
            "name": "x",
            "architecture": { "init": "pytorch", "generator": { "layers": [{ "linear": { "out": 8 } }, "relu", { "b": vec![123_456; 12] }] } },
        });
        assert_eq!(
            toml_text(&json),
            "name = \"x\"\n\n[data.gaussian]\nmean = 4.0\n\n[architecture]\ninit = \"pytorch\"\n\
             generator = { layers = [\n    { linear = { out = 8 } },\n    \"relu\",\n    { b = [123456, 123456, 123456, 123456, \
             123456, 123456, 123456, 123456, 123456, 123456, 123456, 123456] },\n] }\n\n[[claims]]\nsays = \"a \\\"quote\\\"\"\nat-most = 1.0\n"
        );
    }
}
