use super::super::diagnostic::{SourceId, Sources};
use super::*;
use serde::Deserialize;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Toy {
    count: u32,
    #[serde(default)]
    rate: Option<crate::base::Positive>,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    pair: Option<[f64; 2]>,
    #[serde(default)]
    many: Vec<Kind>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Kind {
    #[default]
    None,
    Leaky(Leaky),
    Wide(Wide),
    Listed(Vec<u32>),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Leaky {
    #[serde(default)]
    slope: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Wide {
    width: u32,
}

/// The value, or each mistake as `text it points at: message`.
fn toy(text: &str) -> Result<Toy, Vec<String>> {
    let mut sources = Sources::default();
    let source = sources.add("t", text);
    let node = Node::parse(text, source).expect("the test's text is TOML");
    read(&node, "", &["grid"]).map_err(|all| {
        all.into_iter()
            .map(|m| {
                let place = m.place.expect("all have places");
                assert_eq!(place.source, SourceId(0));
                format!("{}: {}", &text[place.start as usize..place.end as usize], m.message)
            })
            .collect()
    })
}

#[test]
fn a_bare_tag_stands_for_all_defaults_and_an_empty_table_for_a_unit() {
    let value = toy("count = 1\nkind = 'leaky'\nmany = [{ none = {} }, 'none', { listed = [1, 2] }]").expect("reads");
    assert_eq!(value.kind, Kind::Leaky(Leaky { slope: 0.0 }));
    assert_eq!(value.many, [Kind::None, Kind::None, Kind::Listed(vec![1, 2])]);
    assert_eq!(toy("count = 1\nrate = 2").expect("reads").rate, Some(crate::base::Positive::of(2.0)));
}

#[test]
fn every_mistake_is_found_and_points_at_its_key_or_value() {
    assert_eq!(
        toy("cuont = 1\nrate = -1\nkind = { leaky = { slop = 1, slope = 'x' } }\npair = [1, 2, 3]\nmany = ['nne', 3]")
            .expect_err("wrong"),
        [
            "cuont: unknown key `cuont`",
            "-1: expected a number above 0, got -1",
            "slop: unknown key `slop` in `leaky`",
            "'x': expected a number, got the text \"x\"",
            "[1, 2, 3]: expected a list of 2, got 3",
            "'nne': `many` has no kind `nne`",
            "3: expected the name of a kind, got 3",
        ]
    );
}

#[test]
fn what_only_follows_from_another_mistake_is_not_said() {
    assert_eq!(toy("count = -1").expect_err("wrong"), ["-1: expected a whole number of 0 or more, got -1"]);
    assert_eq!(
        toy("count = 1\nkind = { wide = { width = 'x' } }").expect_err("wrong"),
        ["'x': expected a whole number, got the text \"x\""]
    );
    assert_eq!(toy("rate = 1").expect_err("wrong"), [": `count` is missing"]);
}

#[test]
fn choices_have_words_of_their_own() {
    let one = |text: &str| toy(&format!("count = 1\n{text}")).expect_err("wrong").remove(0);
    assert_eq!(one("kind = { leaky = {}, wide = {} }"), "wide: `kind` names two kinds, `leaky` and `wide`: keep one");
    assert_eq!(one("kind = { leaky = {}, slope = 1 }"), "slope: `slope` stands beside `leaky`");
    assert_eq!(one("kind = 'wide'"), "'wide': `wide` needs `width`");
    assert_eq!(one("kind = 'listed'"), "'listed': `listed` needs a value");
    assert_eq!(one("kind = { wide = {} }"), "{}: `wide` needs `width`");
    assert_eq!(one("kind = {}"), "{}: `kind` names no kind");
    assert_eq!(one("kind = { none = { x = 1 } }"), "x: `none` takes no settings");
}
