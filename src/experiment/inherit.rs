//! What a file sets and the grid that it inherits sets again.
//!
//! A label of an inherited axis is written for the parent's settings. Where it sets a key that the child sets too, neither
//! may win silently: the child writes the axis anew and says what each label sets there.

use super::diagnostic::{Mistake, Place, SourceId, Sources, listed};
use super::grid::{Axis, Grid, Step, fits};
use super::node::{self, Node, dotted};
use super::schema::{FILE_KEYS, Grammar, is_document};
use std::sync::Arc;

/// A setting of the child.
struct Setting {
    path: Vec<Arc<str>>,
    place: Place,
}

/// Finds the settings of the file `child` that values of an inherited axis replace, in `root`: the child merged with its
/// parents.
///
/// # Errors
/// One for each such setting.
pub(super) fn check(root: &Node, child: SourceId, sources: &Sources) -> Result<(), Vec<Mistake>> {
    // What is wrong with the grid itself is found where its points are read.
    let Some(Ok(grid)) = root.get("grid").map(Grid::read) else { return Ok(()) };
    let mut settings = Vec::new();
    for (key, inner) in root.table().into_iter().flatten().filter(|(key, _)| !FILE_KEYS.contains(&&*key.name)) {
        collect(key.place, inner, &mut vec![key.name.clone()], child, &mut settings);
    }
    let mut lost: Vec<(&Setting, &Axis, Vec<&Step>)> = Vec::new();
    for axis in grid.axes() {
        for step in axis.steps.iter().filter(|step| step.place.source != child) {
            let mut after = root.clone();
            for (path, value) in &step.sets {
                // What cannot be set is found where the points are read.
                let _found_there = node::set(&mut after, path, value.clone(), Grammar::get());
            }
            for setting in settings.iter().filter(|setting| !holds(setting, root, &after)) {
                match lost.iter_mut().find(|(known, of, _)| known.place == setting.place && of.name == axis.name) {
                    Some((.., steps)) => steps.push(step),
                    None => lost.push((setting, axis, vec![step])),
                }
            }
        }
    }
    let mut mistakes: Vec<Mistake> =
        lost.iter().map(|(setting, axis, steps)| told(setting, axis, steps, sources)).collect();
    mistakes.sort_by_key(|mistake| mistake.place);
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// The settings below a key that were written in one file: values, lists, empty tables and whole experiments.
fn collect(place: Place, node: &Node, path: &mut Vec<Arc<str>>, source: SourceId, all: &mut Vec<Setting>) {
    match node.table().filter(|table| !table.is_empty() && !is_document(path)) {
        Some(table) => {
            for (key, inner) in table {
                path.push(key.name.clone());
                collect(key.place, inner, path, source, all);
                path.pop();
            }
        }
        None if place.source == source => all.push(Setting { path: path.clone(), place }),
        None => {}
    }
}

/// Whether a setting is still true after something else was set.
fn holds(setting: &Setting, before: &Node, after: &Node) -> bool {
    let (Some(before), Some(after)) = (at(before, &setting.path), at(after, &setting.path)) else { return false };
    fits(&before.to_json(), &after.to_json())
}

fn at<'a>(root: &'a Node, path: &[Arc<str>]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, name| node.get(name))
}

fn told(setting: &Setting, axis: &Axis, steps: &[&Step], sources: &Sources) -> Mistake {
    let name = setting.path.join(".");
    let file = sources.name(steps[0].place.source);
    let message = if axis.free {
        let labels = listed(steps.iter().map(|step| step.text.as_str()));
        let (noun, verb) = if steps.len() == 1 { ("label", "replaces") } else { ("labels", "replace") };
        format!("the {noun} {labels} of `{}` in {file} {verb} `{name}`, which is set here", axis.name)
    } else {
        let keys: Vec<String> = steps[0].sets.iter().map(|(path, _)| dotted(path)).collect();
        format!("the axis {} in {file} replaces `{name}`, which is set here", listed(keys.iter().map(String::as_str)))
    };
    let help =
        format!("write the axis `{}` in the `[grid]` of this file, with the values that are meant here", axis.name);
    Mistake::at(setting.place, message).with_help(help)
}
