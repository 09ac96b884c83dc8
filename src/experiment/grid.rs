//! `[grid]`: axes and how they combine into points. It knows keys and values, not what they mean.
//!
//! ```toml
//! [grid]
//! "loss.adversarial" = ["vanilla", "hinge"]                                 # a dotted key and its values
//! variant = [                                                               # a free name: several keys under a label
//!     { label = "plain", set = { "schedule.critic-steps" = 1 } },
//!     { label = "eager", set = { "schedule.critic-steps" = 5, "optimizer.discriminator.adam.lr" = 1e-4 } },
//! ]
//! zip = [{ "schedule.batch" = [8, 64], "schedule.steps" = [4000, 500] }]    # axes that move together
//! union = [{ "data" = ["a", "b"] }, { "eval.samples" = [10] }]              # grids one after the other
//! exclude = [{ "loss.adversarial" = "hinge", variant = "eager" }]           # cells to leave out
//! ```

use super::diagnostic::{Mistake, Place, known_names};
use super::node::{Key, Node, dotted};
use super::schema::{FILE_KEYS, Grammar};
use super::spec::REMARKS;
use crate::base::nearest;
use serde_json::Value as Json;
use std::collections::HashSet;

/// Cells that a grid may have at most; more is a slip.
pub const MOST_CELLS: usize = 100_000;

/// Axes and how they combine: the product of axes, zips and the union.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    axes: Vec<Axis>,
    zips: Vec<Vec<Axis>>,
    union: Vec<Grid>,
    exclude: Vec<Exclude>,
}

/// A name with values.
#[derive(Clone, Debug)]
pub struct Axis {
    /// A dotted key, or a free name.
    pub name: String,
    /// Whether it is a free name, whose values set several keys.
    pub free: bool,
    /// Its values in order.
    pub steps: Vec<Step>,
    place: Place,
}

/// One value of an axis.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its label, or the value as it was spelled.
    pub text: String,
    /// What it sets.
    pub sets: Vec<(Vec<Key>, Node)>,
    /// Where it was written.
    pub place: Place,
    json: Json,
}

#[derive(Clone, Debug)]
struct Exclude {
    wanted: Vec<(Key, Json)>,
    place: Place,
}

/// One value of each of some axes.
pub type Point<'a> = Vec<(&'a Axis, &'a Step)>;

impl Grid {
    /// Reads `[grid]`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(node: &Node) -> Result<Self, Vec<Mistake>> {
        let mut wrong = Vec::new();
        let grid = read_grid(node, &mut wrong);
        let mut names = HashSet::new();
        grid.check_names(&mut names, &mut wrong);
        if wrong.is_empty() && grid.count() > MOST_CELLS {
            wrong.push(Mistake::at(node.place, format!("a grid of {} cells; the most is {MOST_CELLS}", grid.count())));
        }
        if wrong.is_empty() { Ok(grid) } else { Err(wrong) }
    }

    /// All axes, those of each part of a union on their own.
    pub fn axes(&self) -> Vec<&Axis> {
        let parts = self.union.iter().flat_map(Self::axes);
        self.axes.iter().chain(self.zips.iter().flatten()).chain(parts).collect()
    }

    /// The axes by their names, each name once.
    pub fn names(&self) -> Vec<&Axis> {
        let mut all: Vec<&Axis> = Vec::new();
        for axis in self.axes() {
            if all.iter().all(|a| a.name != axis.name) {
                all.push(axis);
            }
        }
        all
    }

    /// All points, the first axis slowest, those excluded left out.
    ///
    /// # Errors
    /// If an `exclude` leaves nothing out.
    pub fn points(&self) -> Result<Vec<Point<'_>>, Vec<Mistake>> {
        let mut points: Vec<Point<'_>> = vec![Vec::new()];
        let mut wrong = Vec::new();
        for axis in &self.axes {
            points = times(points, axis.steps.iter().map(|step| vec![(axis, step)]).collect());
        }
        for zip in &self.zips {
            let length = zip.first().map_or(0, |axis| axis.steps.len());
            points =
                times(points, (0..length).map(|i| zip.iter().map(|axis| (axis, &axis.steps[i])).collect()).collect());
        }
        if !self.union.is_empty() {
            let mut parts = Vec::new();
            for grid in &self.union {
                match grid.points() {
                    Ok(part) => parts.extend(part),
                    Err(more) => wrong.extend(more),
                }
            }
            points = times(points, parts);
        }
        for exclude in &self.exclude {
            let before = points.len();
            points.retain(|point| !exclude.fits(point));
            if points.len() == before {
                wrong.push(Mistake::at(
                    exclude.place,
                    "no cell of the grid has these values, so this leaves nothing out",
                ));
            }
        }
        if wrong.is_empty() { Ok(points) } else { Err(wrong) }
    }

    fn count(&self) -> usize {
        let product = self.axes.iter().fold(1usize, |n, axis| n.saturating_mul(axis.steps.len()));
        let zips =
            self.zips.iter().filter_map(|z| z.first()).fold(product, |n, axis| n.saturating_mul(axis.steps.len()));
        if self.union.is_empty() {
            return zips;
        }
        zips.saturating_mul(self.union.iter().fold(0usize, |n, grid| n.saturating_add(grid.count())))
    }

    /// An axis may stand once on each way through the grid.
    fn check_names(&self, above: &mut HashSet<String>, wrong: &mut Vec<Mistake>) {
        let mut own = Vec::new();
        for axis in self.axes.iter().chain(self.zips.iter().flatten()) {
            if above.insert(axis.name.clone()) {
                own.push(axis.name.clone());
            } else {
                wrong
                    .push(Mistake::at(axis.place, format!("the grid has `{}` twice", axis.name)).with_help("keep one"));
            }
        }
        for grid in &self.union {
            grid.check_names(above, wrong);
        }
        for exclude in &self.exclude {
            let names = self.names();
            let known: Vec<&str> =
                names.iter().map(|axis| axis.name.as_str()).chain(above.iter().map(String::as_str)).collect();
            for (key, _) in &exclude.wanted {
                if !known.contains(&&*key.name) {
                    let mut mistake = Mistake::at(key.place, format!("the grid has no axis `{}`", key.name));
                    mistake.help = known_names(&key.name, names.iter().map(|axis| axis.name.as_str()));
                    wrong.push(mistake);
                }
            }
        }
        for name in own {
            above.remove(&name);
        }
    }
}

fn times<'a>(left: Vec<Point<'a>>, right: Vec<Point<'a>>) -> Vec<Point<'a>> {
    let mut all = Vec::with_capacity(left.len() * right.len());
    for a in &left {
        for b in &right {
            all.push(a.iter().chain(b).copied().collect());
        }
    }
    all
}

impl Exclude {
    fn fits(&self, point: &Point<'_>) -> bool {
        self.wanted.iter().all(|(key, json)| {
            point.iter().any(|(axis, step)| {
                axis.name == *key.name && (fits(json, &step.json) || json.as_str() == Some(&step.text))
            })
        })
    }
}

/// Whether a value is what is wanted: the same number however it is spelled, a choice by its tag alone, a table by the
/// keys that are named.
pub fn fits(wanted: &Json, have: &Json) -> bool {
    match (wanted, have) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::String(tag), Json::Object(table)) => table.len() == 1 && table.contains_key(tag),
        (Json::Object(table), Json::String(tag)) => {
            table.len() == 1
                && table.get(tag).is_some_and(|content| content.as_object().is_some_and(serde_json::Map::is_empty))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.iter().all(|(key, value)| b.get(key).is_some_and(|have| fits(value, have)))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fits(a, b)),
        _ => wanted == have,
    }
}

fn read_grid(node: &Node, wrong: &mut Vec<Mistake>) -> Grid {
    let mut grid = Grid::default();
    let Some(table) = node.table() else {
        wrong.push(Mistake::at(node.place, format!("expected a table of axes, got {}", node.described())));
        return grid;
    };
    for (key, inner) in table {
        match &*key.name {
            "zip" => {
                for group in list(inner, "zip", wrong) {
                    let mut axes = Vec::new();
                    read_axes(group, &[], &mut axes, wrong);
                    if let Some(first) = axes.first() {
                        let length = first.steps.len();
                        if let Some(other) = axes.iter().find(|axis| axis.steps.len() != length) {
                            let message = format!(
                                "axes that move together need as many values each: `{}` has {length}, `{}` has {}",
                                first.name,
                                other.name,
                                other.steps.len()
                            );
                            wrong.push(Mistake::at(other.place, message));
                        }
                    }
                    grid.zips.push(axes);
                }
            }
            "union" => grid.union = list(inner, "union", wrong).iter().map(|node| read_grid(node, wrong)).collect(),
            "exclude" => {
                for item in list(inner, "exclude", wrong) {
                    match item.table() {
                        Some(table) if !table.is_empty() => grid.exclude.push(Exclude {
                            wanted: table.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
                            place: item.place,
                        }),
                        _ => {
                            wrong.push(Mistake::at(item.place, "expected a table of axes with the values to leave out"))
                        }
                    }
                }
            }
            _ => read_axis(key, inner, &[], &mut grid.axes, wrong),
        }
    }
    grid
}

fn list<'a>(node: &'a Node, name: &str, wrong: &mut Vec<Mistake>) -> &'a [Node] {
    match node.array() {
        Some(items) if !items.is_empty() => items,
        _ => {
            wrong.push(Mistake::at(
                node.place,
                format!("expected a list of tables for `{name}`, got {}", node.described()),
            ));
            &[]
        }
    }
}

fn read_axes(node: &Node, prefix: &[Key], axes: &mut Vec<Axis>, wrong: &mut Vec<Mistake>) {
    let Some(table) = node.table() else {
        wrong.push(Mistake::at(node.place, format!("expected a table of axes, got {}", node.described())));
        return;
    };
    for (key, inner) in table {
        read_axis(key, inner, prefix, axes, wrong);
    }
}

/// The parts of a key such as `"loss.adversarial"`, each with its place.
fn parts(key: &Key) -> Vec<Key> {
    let length = (key.place.end - key.place.start) as usize;
    // Quotes around it, or none; with escapes inside, the whole key stands for each part.
    let shift = match length.checked_sub(key.name.len()) {
        Some(0) => Some(0),
        Some(2) => Some(1),
        _ => None,
    };
    let mut at = 0;
    key.name
        .split('.')
        .map(|name| {
            let start = at;
            at += name.len() + 1;
            let place = match shift {
                Some(shift) if key.name.contains('.') => {
                    let from = key.place.start as usize + shift + start;
                    Place::new(key.place.source, from..from + name.len())
                }
                _ => key.place,
            };
            Key::new(name, place)
        })
        .collect()
}

fn read_axis(key: &Key, node: &Node, prefix: &[Key], axes: &mut Vec<Axis>, wrong: &mut Vec<Mistake>) {
    let path: Vec<Key> = prefix.iter().cloned().chain(parts(key)).collect();
    if node.table().is_some() {
        return read_axes(node, &path, axes, wrong);
    }
    let name = dotted(&path);
    let first = &*path[0].name;
    match first {
        "seed" | "seeds" => {
            let mistake = Mistake::at(key.place, "seeds are an axis of their own");
            return wrong.push(mistake.with_help("write `seeds = 8` or `seeds = [0, 1, 2]` at the top of the file"));
        }
        _ if REMARKS.contains(&first) => {
            return wrong.push(Mistake::at(key.place, format!("`{first}` belongs to the whole experiment")));
        }
        _ if FILE_KEYS.contains(&first) => {
            return wrong.push(Mistake::at(key.place, format!("`{first}` cannot be an axis")));
        }
        _ => {}
    }
    let Some(values) = node.array() else {
        let mistake = Mistake::at(
            node.place,
            format!("expected a list of values for the axis `{name}`, got {}", node.described()),
        );
        return wrong.push(mistake.with_help("one value for all cells belongs in its own section"));
    };
    if values.is_empty() {
        return wrong.push(Mistake::at(node.place, format!("the axis `{name}` has no values")));
    }
    let cell_keys = Grammar::get().cell_keys();
    let free = path.len() == 1 && !cell_keys.contains(&first);
    let before = wrong.len();
    let mut steps = Vec::with_capacity(values.len());
    for value in values {
        match if free { free_step(value) } else { Ok(key_step(&path, value)) } {
            Ok(step) => steps.push(step),
            Err(Some(mistake)) => wrong.push(mistake),
            Err(None) => {
                let mistake = Mistake::at(key.place, format!("`{name}` is not a key of a cell"));
                let (near, is_near) = nearest(first, cell_keys);
                let help = "a free name takes `{ label = \"…\", set = { \"key\" = value } }` for each value";
                wrong.push(mistake.with_help(if is_near {
                    format!("did you mean `{}`? {help}", near[0])
                } else {
                    help.to_owned()
                }));
                break;
            }
        }
    }
    let mut seen = HashSet::new();
    for step in &steps {
        if !seen.insert(&step.text) {
            wrong.push(Mistake::at(step.place, format!("the axis `{name}` has `{}` twice", step.text)));
        }
    }
    if wrong.len() == before {
        axes.push(Axis { name, free, steps, place: key.place });
    }
}

/// A value of a dotted key: the value, or `{ label = …, value = … }`.
fn key_step(path: &[Key], node: &Node) -> Step {
    let labelled = node.table().is_some_and(|t| t.len() == 2);
    if let (true, Some(label), Some(value)) = (labelled, node.get("label").and_then(Node::str), node.get("value")) {
        return Step {
            text: label.to_owned(),
            sets: vec![(path.to_vec(), value.clone())],
            place: node.place,
            json: value.to_json(),
        };
    }
    Step { text: node.spelled(), sets: vec![(path.to_vec(), node.clone())], place: node.place, json: node.to_json() }
}

/// A value of a free name: `{ label = …, set = { … } }`, or a label alone for the document as it is; `None` where it
/// looks like something else.
fn free_step(node: &Node) -> Result<Step, Option<Mistake>> {
    let Some(label) = node.get("label") else { return Err(None) };
    let Some(text) = label.str().filter(|text| !text.is_empty()) else {
        return Err(Some(Mistake::at(label.place, format!("expected a text in quotes, got {}", label.described()))));
    };
    if let Some((key, _)) = node.table().into_iter().flatten().find(|(k, _)| !["label", "set"].contains(&&*k.name)) {
        return Err(Some(Mistake::at(key.place, format!("unknown key `{}` beside `label` and `set`", key.name))));
    }
    let mut sets = Vec::new();
    if let Some(set) = node.get("set") {
        sets = sets_of(set)?;
    }
    Ok(Step { text: text.to_owned(), sets, place: node.place, json: Json::from(text) })
}

/// What a table says to set: dotted keys with their values.
pub(super) fn sets_of(node: &Node) -> Result<Vec<(Vec<Key>, Node)>, Mistake> {
    let Some(table) = node.table() else {
        return Err(Mistake::at(node.place, format!("expected a table of keys to set, got {}", node.described())));
    };
    let mut sets = Vec::new();
    for (key, value) in table {
        flatten(parts(key), value, &mut sets);
    }
    Ok(sets)
}

/// Nested tables name the parts of a key, down to a choice or a value.
fn flatten(path: Vec<Key>, node: &Node, sets: &mut Vec<(Vec<Key>, Node)>) {
    let names: Vec<_> = path.iter().map(|key| key.name.clone()).collect();
    match node.table() {
        Some(table) if !table.is_empty() && !Grammar::get().is_whole(&names) => {
            for (key, value) in table {
                flatten(path.iter().cloned().chain(parts(key)).collect(), value, sets);
            }
        }
        _ => sets.push((path, node.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::SourceId;
    use super::*;
    use proptest::prelude::*;

    fn grid(text: &str) -> Result<Vec<String>, Vec<String>> {
        let node = Node::parse(text, SourceId(0)).expect("the test's text is TOML");
        let words = |wrong: Vec<Mistake>| {
            wrong
                .into_iter()
                .map(|m| {
                    let place = m.place.expect("placed");
                    format!("{}: {}", &text[place.start as usize..place.end as usize], m.message)
                })
                .collect::<Vec<_>>()
        };
        let grid = Grid::read(&node).map_err(words)?;
        let points = grid.points().map_err(words)?;
        Ok(points
            .iter()
            .map(|p| p.iter().map(|(a, s)| format!("{}={}", a.name, s.text)).collect::<Vec<_>>().join(" "))
            .collect())
    }

    #[test]
    fn axes_multiply_zips_move_together_and_unions_follow_each_other() {
        assert_eq!(
            grid("'a.x' = [1, 2]\n[b]\ny = ['p', 'q']").expect("a grid"),
            ["a.x=1 b.y=p", "a.x=1 b.y=q", "a.x=2 b.y=p", "a.x=2 b.y=q"]
        );
        assert_eq!(
            grid("'a.x' = [1, 2]\nzip = [{ 'b.y' = [3, 4], 'b.z' = [5, 6] }]").expect("a grid"),
            ["a.x=1 b.y=3 b.z=5", "a.x=1 b.y=4 b.z=6", "a.x=2 b.y=3 b.z=5", "a.x=2 b.y=4 b.z=6"]
        );
        assert_eq!(
            grid("union = [{ 'a.x' = [2e-4] }, { 'a.x' = [1], 'b.y' = [3, 4] }]").expect("a grid"),
            ["a.x=2e-4", "a.x=1 b.y=3", "a.x=1 b.y=4"]
        );
        assert_eq!(
            grid("'a.x' = [1, 'two', { adam = { lr = 1 } }]\nexclude = [{ 'a.x' = 1.0 }, { 'a.x' = 'adam' }]")
                .expect("a grid"),
            ["a.x=two"]
        );
        assert_eq!(grid("v = [{ label = 'p', set = { 'a.x' = 1, b = { y = 2 } } }]").expect("a grid"), ["v=p"]);
    }

    #[test]
    fn what_is_wrong_with_a_grid_is_said_at_its_place() {
        let wrong = |text: &str| grid(text).expect_err("wrong").remove(0);
        assert_eq!(wrong("'a.x' = 3"), "3: expected a list of values for the axis `a.x`, got 3");
        assert_eq!(wrong("'a.x' = []"), "[]: the axis `a.x` has no values");
        assert_eq!(wrong("'a.x' = [1, 1]"), "1: the axis `a.x` has `1` twice");
        assert_eq!(wrong("daat = ['x']"), "daat: `daat` is not a key of a cell");
        assert_eq!(wrong("seed = [1]"), "seed: seeds are an axis of their own");
        assert_eq!(wrong("'a.x' = [1]\nzip = [{ 'a.x' = [2] }]"), "'a.x': the grid has `a.x` twice");
        assert_eq!(
            wrong("zip = [{ 'a.x' = [2], 'a.y' = [1, 2] }]"),
            "'a.y': axes that move together need as many values each: `a.x` has 1, `a.y` has 2"
        );
        assert_eq!(wrong("'a.x' = [1]\nexclude = [{ 'a.y' = 1 }]"), "'a.y': the grid has no axis `a.y`");
        assert_eq!(
            wrong("'a.x' = [1]\nexclude = [{ 'a.x' = 2 }]"),
            "{ 'a.x' = 2 }: no cell of the grid has these values, so this leaves nothing out"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_grid_has_as_many_points_as_the_product_of_its_axes(lengths in prop::collection::vec(1usize..5, 0..4), zip in 1usize..4) {
            let mut text: String = lengths.iter().enumerate().map(|(i, n)| format!("'a.x{i}' = {:?}\n", (0..*n).collect::<Vec<_>>())).collect();
            let values: Vec<_> = (0..zip).collect();
            text += &format!("zip = [{{ 'b.y' = {values:?}, 'b.z' = {values:?} }}]");
            let points = grid(&text).expect("a grid");
            let distinct: HashSet<_> = points.iter().collect();
            prop_assert_eq!(points.len(), lengths.iter().product::<usize>() * zip);
            prop_assert_eq!(distinct.len(), points.len());
        }
    }
}
