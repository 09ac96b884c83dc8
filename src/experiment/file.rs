//! From a file to one document: what it extends laid beneath it, `--set` laid over it.

use super::de;
use super::diagnostic::{Diagnostic, Diagnostics, Mistake, Place, SourceId, Sources, known_names};
use super::inherit;
use super::node::{self, Key, Node, Value};
use super::schema::Grammar;
use super::start;
use crate::base::file::{FileError, read_text};
use crate::eval::spec::MetricSpec;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A document with the texts that it came from.
#[derive(Clone, Debug)]
pub struct Document {
    /// The merged tree: the keys of a cell, and `seeds`, `grid` and `claims`. It has a `name`.
    pub root: Node,
    /// The texts.
    pub sources: Sources,
    /// The file.
    pub file: PathBuf,
    /// What `--set` said.
    pub sets: Vec<Vec<Key>>,
}

/// Reads a file with all that it extends and lays `--set KEY=VALUE` over it.
///
/// # Errors
/// If a file cannot be read, is not TOML or extends itself, or a `--set` cannot be understood.
pub fn load(file: &Path, sets: &[String]) -> Result<Document, Diagnostics> {
    let mut sources = Sources::default();
    let root = read(file, &mut sources, &mut Vec::new(), None)?;
    finish(root, sources, file, sets)
}

/// As [`load`], for a text that is known under a file's name.
///
/// # Errors
/// As [`load`].
pub fn parse(file: &Path, text: &str, sets: &[String]) -> Result<Document, Diagnostics> {
    let mut sources = Sources::default();
    let root = tree(file, text, &mut sources, &mut Vec::new())?;
    finish(root, sources, file, sets)
}

fn finish(mut root: Node, mut sources: Sources, file: &Path, sets: &[String]) -> Result<Document, Diagnostics> {
    let mut paths = Vec::new();
    let mut wrong = Vec::new();
    for set in sets {
        match lay_set(&mut root, set, &mut sources) {
            Ok(path) => paths.extend((!path.is_empty()).then_some(path)),
            Err(mistake) => wrong.push(sources.show(mistake)),
        }
    }
    if !wrong.is_empty() {
        return Err(Diagnostics(wrong));
    }
    // Those that `--set` named: the others are documents by now.
    start::inline(&mut root, &mut |named| origin(Path::new(""), named, &mut sources, &mut Vec::new()))?;
    give_name(&mut root, file);
    Ok(Document { root, sources, file: file.to_owned(), sets: paths })
}

/// A document without a name has that of its file.
fn give_name(root: &mut Node, file: &Path) {
    if root.get("name").is_none() {
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let table = root.table_mut().expect("a document is a table");
        table.insert(0, (Key::new("name", Place::default()), Node::text(stem, Place::default())));
    }
}

/// The files that led to this one, with the place where the next was named.
type Trail = Vec<PathBuf>;

/// `named` is the place where another file names this one, and the key that does.
fn read(
    file: &Path,
    sources: &mut Sources,
    trail: &mut Trail,
    named: Option<(Place, &str)>,
) -> Result<Node, Diagnostics> {
    let unread = |error: FileError| {
        let missing = error.source.kind() == std::io::ErrorKind::NotFound;
        match named {
            Some((place, key)) => {
                let message = if missing { format!("there is no file {}", file.display()) } else { error.to_string() };
                let help = format!("`{key}` is relative to the file that says it");
                sources.show(Mistake::at(place, message).with_help(help))
            }
            None if missing => Diagnostic::plain(
                format!("there is no file {}", file.display()),
                Some("`gantlet init NAME` writes a file to start from".to_owned()),
            ),
            None if file.is_dir() => Diagnostic::plain(
                format!("{} is a folder", file.display()),
                Some("name the TOML file in it".to_owned()),
            ),
            None => Diagnostic::plain(error.to_string(), None),
        }
    };
    let text = read_text(file).map_err(|error| Diagnostics::one(unread(error)))?;
    tree(file, &text, sources, trail)
}

fn tree(file: &Path, text: &str, sources: &mut Sources, trail: &mut Trail) -> Result<Node, Diagnostics> {
    let source = sources.add(file.display().to_string(), text);
    let mut over = Node::parse(text, source).map_err(|mistake| sources.show_all([mistake]))?;
    trail.push(known(file));
    start::inline(&mut over, &mut |named| origin(file, named, sources, trail))?;
    let base = over.remove("extends").map(|(_, base)| named_by(file, "extends", &base, sources, trail)).transpose()?;
    trail.pop();
    let Some((_, mut root)) = base else { return Ok(over) };
    // One seed and several seeds are two ways to say the same thing: the later file decides.
    for (said, other) in [("seed", "seeds"), ("seeds", "seed")] {
        if over.get(said).is_some() {
            root.remove(other);
        }
    }
    // A name belongs to one file: the one that extends takes its own, from its key or from its file.
    root.remove("name");
    node::merge(&mut root, &over, Grammar::get());
    inherit::check(&root, source, sources).map_err(|mistakes| sources.show_all(mistakes))?;
    Ok(root)
}

fn known(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The file that another names under a key, and what is in it.
fn named_by(
    file: &Path,
    key: &str,
    name: &Node,
    sources: &mut Sources,
    trail: &mut Trail,
) -> Result<(PathBuf, Node), Diagnostics> {
    let place = name.place;
    let Some(text) = name.str() else {
        return Err(
            sources.show_all([Mistake::at(place, format!("expected the path of a file, got {}", name.described()))])
        );
    };
    let named = file.parent().unwrap_or(Path::new("")).join(text);
    if let Some(start) = trail.iter().position(|path| *path == known(&named)) {
        let names: Vec<_> = trail[start..]
            .iter()
            .chain([&trail[start]])
            .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
            .collect();
        let message = format!("`{key}` goes in a circle: {}", names.join(" → "));
        return Err(sources.show_all([Mistake::at(place, message).with_help("take one of them out")]));
    }
    let root = read(&named, sources, trail, Some((place, key)))?;
    Ok((named, root))
}

/// The document that a player begins with, which looks for its data where its own file lies.
fn origin(file: &Path, name: &Node, sources: &mut Sources, trail: &mut Trail) -> Result<Node, Diagnostics> {
    let (file, mut root) = named_by(file, "experiment", name, sources, trail)?;
    give_name(&mut root, &file);
    let folder = known(&file).parent().unwrap_or(Path::new("")).display().to_string();
    let mut folders = match root.remove("data-folders") {
        Some((_, node)) => node.array().unwrap_or_default().to_vec(),
        None => Vec::new(),
    };
    folders.insert(0, Node::text(folder, name.place));
    let folders = Node { value: Value::Array(Arc::new(folders)), place: name.place };
    root.put(Key::new("data-folders", name.place), folders);
    Ok(root)
}

/// Lays a `KEY=VALUE` over a document and gives its key; nothing where it only chose a label.
fn lay_set(root: &mut Node, set: &str, sources: &mut Sources) -> Result<Vec<Key>, Mistake> {
    let source = sources.add("--set", set);
    let Some((path, value)) = set.split_once('=') else {
        let mistake = Mistake::at(Place::new(source, 0..set.len()), format!("expected KEY=VALUE, got `{set}`"));
        return Err(mistake.with_help("as in `--set schedule.steps=200`"));
    };
    let keys = node::parse_path(path, 0, source)?;
    let offset = path.len() + 1;
    let value = value_or_text(value, offset, source)?;
    lay(root, keys, value)
}

/// As [`lay_set`], of a dotted key and a value.
pub(super) fn lay(root: &mut Node, keys: Vec<Key>, value: Node) -> Result<Vec<Key>, Mistake> {
    let first = &*keys[0].name;
    match first {
        "extends" => {
            return Err(
                Mistake::at(keys[0].place, "`extends` belongs in a file").with_help("make a file that extends both")
            );
        }
        "seed" => drop(root.remove("seeds")),
        "seeds" => drop(root.remove("seed")),
        _ => {
            let grid = root.table_mut().expect("a document is a table").iter_mut().find(|(k, _)| &*k.name == "grid");
            if let Some((_, grid)) = grid {
                // The grid would set the key again. An axis of that name is narrowed to this value; where a label sets it
                // among others, it no longer does.
                let name = node::dotted(&keys);
                if narrow(grid, "", &name, &keys, &value)? {
                    // A free name is no key of a cell, where the value would be looked for.
                    let is_key = Grammar::get().cell_keys().contains(&first);
                    return Ok(if is_key { keys } else { Vec::new() });
                }
                overrule(grid, &name);
            }
        }
    }
    node::set(root, &keys, value, Grammar::get())?;
    Ok(keys)
}

/// The item of an axis that a value stands for: of an axis with labels the one under this label, else the value itself.
fn chosen(axis: &Node, name: &str, value: &Node) -> Result<Node, Mistake> {
    let items = axis.array().unwrap_or_default();
    let labels: Vec<&str> = items.iter().filter_map(|item| item.get("label")?.str()).collect();
    if labels.is_empty() || labels.len() < items.len() || value.table().is_some() {
        return Ok(value.clone());
    }
    let found = items.iter().zip(&labels).find(|(_, label)| value.str() == Some(label));
    found.map(|(item, _)| item.clone()).ok_or_else(|| {
        let mut mistake = Mistake::at(value.place, format!("`{name}` has no label `{}`", value.spelled()));
        mistake.help = known_names(value.str().unwrap_or_default(), labels);
        mistake
    })
}

/// Takes a key out of what labels set.
fn overrule(node: &mut Node, name: &str) {
    match &mut node.value {
        Value::Array(items) => Arc::make_mut(items).iter_mut().for_each(|item| overrule(item, name)),
        Value::Table(_) => {
            for (key, inner) in node.table_mut().into_iter().flatten() {
                match inner.table_mut() {
                    Some(set) if &*key.name == "set" => set.retain(|(key, _)| &*key.name != name),
                    _ => overrule(inner, name),
                }
            }
        }
        Value::String(_) | Value::Integer(..) | Value::Float(..) | Value::Boolean(_) => {}
    }
}

/// A TOML value that starts at byte `offset` of a source; what is none is a text.
fn value_or_text(text: &str, offset: usize, source: SourceId) -> Result<Node, Mistake> {
    match Node::parse_value(text, offset, source) {
        Err(mistake) if text.trim_start().starts_with(['[', '{', '"', '\'']) => Err(mistake),
        Err(_) => Ok(Node::text(text.trim(), Place::new(source, offset..offset + text.len()))),
        node => node,
    }
}

/// Narrows the axis of this name to one value; whether there is one.
fn narrow(grid: &mut Node, prefix: &str, name: &str, keys: &[Key], value: &Node) -> Result<bool, Mistake> {
    let mut found = false;
    for (key, inner) in grid.table_mut().into_iter().flatten() {
        let whole = format!("{prefix}{}", key.name);
        if whole == name && inner.array().is_some() {
            let items = vec![chosen(inner, name, value)?];
            *inner = Node { value: Value::Array(Arc::new(items)), place: value.place };
            found = true;
        } else if &*key.name == "union" && prefix.is_empty() {
            if let Value::Array(items) = &mut inner.value {
                for item in Arc::make_mut(items) {
                    found |= narrow(item, "", name, keys, value)?;
                }
            }
        } else if &*key.name == "zip" && prefix.is_empty() {
            if inner.array().into_iter().flatten().any(|group| group.get(name).is_some()) {
                return Err(Mistake::at(keys[0].place, format!("`{name}` moves together with other axes of the grid"))
                    .with_help("its values cannot be set alone; extend the file with another grid"));
            }
        } else if inner.table().is_some() && &*key.name != "exclude" {
            found |= narrow(inner, &format!("{whole}."), name, keys, value)?;
        }
    }
    Ok(found)
}

/// Metrics as the command line names them: a bare tag, or a TOML value such as `{ sliced-wasserstein = { … } }`.
///
/// # Errors
/// Everything that is wrong with them.
pub fn metrics(texts: &[String]) -> Result<Vec<MetricSpec>, Diagnostics> {
    let mut sources = Sources::default();
    let (mut metrics, mut wrong) = (Vec::new(), Vec::new());
    for text in texts {
        let source = sources.add("--metric", text.as_str());
        let read = value_or_text(text, 0, source)
            .map_err(|mistake| vec![mistake])
            .and_then(|node| de::read::<MetricSpec>(&node, "metrics", &[]));
        match read {
            Ok(metric) => metrics.push(metric),
            Err(mistakes) => wrong.extend(mistakes.into_iter().map(|mistake| sources.show(mistake))),
        }
    }
    if wrong.is_empty() { Ok(metrics) } else { Err(Diagnostics(wrong)) }
}

/// The seeds that a document asks for: `seeds`, or the one `seed`, or 0.
///
/// # Errors
/// If they cannot be understood, or one is there twice.
pub fn seeds(root: &Node) -> Result<Vec<u64>, Mistake> {
    let Some((key, node)) = root.entry("seeds") else {
        // A wrong `seed` is found where the cell is read.
        return Ok(vec![root.get("seed").and_then(whole).unwrap_or(0)]);
    };
    if root.get("seed").is_some() {
        return Err(Mistake::at(key.place, "both `seed` and `seeds` are said").with_help("keep one"));
    }
    let refuse =
        |node: &Node, expected: &str| Mistake::at(node.place, format!("expected {expected}, got {}", node.described()));
    let count = |node: &Node| {
        whole(node).filter(|n| (1..=1_000_000).contains(n)).ok_or_else(|| refuse(node, "a count of 1 or more"))
    };
    match &node.value {
        Value::Integer(..) => Ok((0..count(node)?).collect()),
        Value::Array(items) => {
            let (mut seeds, mut seen) = (Vec::new(), HashSet::new());
            for item in items.iter() {
                let seed = whole(item).ok_or_else(|| refuse(item, "a seed: a whole number of 0 or more"))?;
                if !seen.insert(seed) {
                    return Err(Mistake::at(item.place, format!("seed {seed} is there twice")));
                }
                seeds.push(seed);
            }
            if seeds.is_empty() { Err(Mistake::at(node.place, "an empty list of seeds")) } else { Ok(seeds) }
        }
        Value::Table(table) => {
            if let Some((key, _)) = table.iter().find(|(key, _)| !["count", "first"].contains(&&*key.name)) {
                let mut mistake = Mistake::at(key.place, format!("unknown key `{}` in `seeds`", key.name));
                mistake.help = known_names(&key.name, ["count", "first"]);
                return Err(mistake);
            }
            let Some(number) = node.get("count") else { return Err(Mistake::at(node.place, "`seeds` needs `count`")) };
            let first = match node.get("first") {
                Some(first) => whole(first).ok_or_else(|| refuse(first, "a whole number of 0 or more"))?,
                None => 0,
            };
            Ok((first..first.saturating_add(count(number)?)).collect())
        }
        Value::String(_) | Value::Float(..) | Value::Boolean(_) => {
            Err(refuse(node, "a count, a list of seeds, or `{ count = 8, first = 0 }`"))
        }
    }
}

fn whole(node: &Node) -> Option<u64> {
    match node.value {
        Value::Integer(value, _) => u64::try_from(value).ok(),
        Value::String(_) | Value::Float(..) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inherited_grid_does_not_replace_silently_what_a_file_sets() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
        let told = |child: &str| {
            write("child.toml", &format!("extends = 'parent.toml'\n{child}"));
            load(&folder.path().join("child.toml"), &[]).err().unwrap_or_default().to_string()
        };
        let lines = |child: &str| -> Vec<String> {
            let all = told(child).replace(&folder.path().display().to_string(), "");
            all.lines().map(str::to_owned).collect()
        };
        write(
            "parent.toml",
            "[schedule]\nsteps = 10\nbatch = 8\n[grid]\n'schedule.batch' = [8, 9]\ngame = [\n\
             { label = 'a', set = { 'schedule.steps' = 5, 'optimizer.generator.sgd.lr' = 1 } },\n\
             { label = 'b', set = { schedule = { steps = 6 } } },\n{ label = 'c' },\n]",
        );
        assert_eq!(
            lines("[schedule]\nsteps = 100\nbatch = 7"),
            [
                "/child.toml:3:1: the labels `a`, `b` of `game` in /parent.toml replace `schedule.steps`, which is set here",
                "/child.toml:4:1: the axis `schedule.batch` in /parent.toml replaces `schedule.batch`, which is set here",
            ]
        );
        // A kind takes the place of another with all its settings.
        assert_eq!(
            lines("[optimizer]\ngenerator = { adam = { lr = 2 } }"),
            [
                "/child.toml:3:24: the label `a` of `game` in /parent.toml replaces `optimizer.generator.adam.lr`, which is set here"
            ]
        );
        // What a label leaves as it is set, and what the file's own grid says, is lost to nobody.
        for fine in [
            "[schedule]\ncritic-steps = 5",
            "[optimizer]\ngenerator = 'sgd'",
            "[schedule]\nsteps = 100\n[grid]\ngame = [{ label = 'a', set = { 'schedule.steps' = 5 } }]",
            "[grid]\n'schedule.batch' = [7]",
        ] {
            assert_eq!(told(fine), "", "{fine}");
        }
        // A third file is held to the same.
        write("grandchild.toml", "extends = 'child.toml'\n[schedule]\nsteps = 7");
        assert_eq!(told("about = 'x'"), "");
        assert!(load(&folder.path().join("grandchild.toml"), &[]).is_err());
    }

    fn document(text: &str, sets: &[&str]) -> Result<Document, String> {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        parse(Path::new("toy.toml"), text, &sets).map_err(|d| d.to_string())
    }

    fn seeds_of(text: &str) -> Result<Vec<u64>, String> {
        seeds(&document(text, &[]).expect("reads").root).map_err(|m| m.message)
    }

    #[test]
    fn seeds_are_a_count_a_list_or_a_count_from_a_first_one() {
        assert_eq!(seeds_of(""), Ok(vec![0]));
        assert_eq!(seeds_of("seed = 7"), Ok(vec![7]));
        assert_eq!(seeds_of("seeds = 3"), Ok(vec![0, 1, 2]));
        assert_eq!(seeds_of("seeds = [4, 2]"), Ok(vec![4, 2]));
        assert_eq!(seeds_of("seeds = { count = 2, first = 10 }"), Ok(vec![10, 11]));
        assert!(seeds_of("seeds = 0").is_err());
        assert!(seeds_of("seeds = [1, 1]").is_err());
        assert!(seeds_of("seeds = { cuont = 1 }").is_err());
        assert!(seeds_of("seed = 1\nseeds = 2").is_err());
    }

    #[test]
    fn what_is_set_is_a_toml_value_or_else_a_text() {
        let root = document(
            "",
            &["schedule.steps=200", "data=shapes", "loss.adversarial=hinge", "seeds=[1, 2]", "about=\"x = y\""],
        )
        .expect("sets")
        .root;
        assert_eq!(
            root.to_json().to_string(),
            r#"{"name":"toy","schedule":{"steps":200},"data":"shapes","loss":{"adversarial":"hinge"},"seeds":[1,2],"about":"x = y"}"#
        );
        assert_eq!(document("", &["x"]).expect_err("no value"), "--set:1:1: expected KEY=VALUE, got `x`");
        assert!(document("", &["seeds=[1"]).is_err());
    }

    #[test]
    fn a_set_narrows_the_axis_of_the_same_name_and_one_seed_replaces_many() {
        let root = document(
            "seeds = 4\n[grid]\n\"loss.adversarial\" = [\"hinge\", \"vanilla\"]\n[grid.schedule]\nsteps = [1, 2]",
            &["loss.adversarial=vanilla", "schedule.steps=9", "seed=3"],
        )
        .expect("sets")
        .root;
        assert_eq!(
            root.to_json().to_string(),
            r#"{"name":"toy","grid":{"loss.adversarial":["vanilla"],"schedule":{"steps":[9]}},"seed":3}"#
        );
    }

    #[test]
    fn a_set_chooses_a_label_and_wins_over_what_labels_set() {
        let text = "[grid]\ngame = [{ label = 'a', set = { 'schedule.steps' = 5, 'loss.adversarial' = 'hinge' } }, { label = 'b' }]";
        let of = |set| document(text, &[set]).expect("sets").root.to_json().to_string();
        assert_eq!(of("game=b"), r#"{"name":"toy","grid":{"game":[{"label":"b"}]}}"#);
        let wrong = document(text, &["game=c"]).expect_err("no such label");
        assert!(wrong.starts_with("--set:1:6: `game` has no label `c`"), "{wrong}");
        assert_eq!(
            of("schedule.steps=9"),
            r#"{"name":"toy","grid":{"game":[{"label":"a","set":{"loss.adversarial":"hinge"}},{"label":"b"}]},"schedule":{"steps":9}}"#
        );
    }

    #[test]
    fn metrics_of_the_command_line_are_tags_or_values() {
        let read = |text: &str| metrics(&[text.to_owned()]).map_err(|d| d.to_string());
        assert_eq!(read("mean"), Ok(vec![MetricSpec::Mean]));
        assert_eq!(read("{ mean = {} }"), Ok(vec![MetricSpec::Mean]));
        assert_eq!(read("meen"), Err("--metric:1:1: `metrics` has no kind `meen`".to_owned()));
    }

    #[test]
    fn files_extend_each_other_in_chains_but_not_in_circles() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
        write("a.toml", "name = 'a'\nseeds = 8\n[schedule]\nsteps = 1\nbatch = 1");
        write("b.toml", "extends = 'a.toml'\n[schedule]\nsteps = 2");
        write("c.toml", "extends = './b.toml'\nseed = 5\n[schedule]\nbatch = 3");
        let root = load(&folder.path().join("c.toml"), &[]).expect("loads").root;
        assert_eq!(root.to_json().to_string(), r#"{"name":"c","schedule":{"steps":2,"batch":3},"seed":5}"#);
        write("a.toml", "extends = 'c.toml'");
        let wrong = load(&folder.path().join("c.toml"), &[]).expect_err("a circle").to_string();
        assert!(
            wrong.ends_with("a.toml:1:11: `extends` goes in a circle: c.toml → b.toml → a.toml → c.toml"),
            "{wrong}"
        );
        let wrong = load(&folder.path().join("d.toml"), &[]).expect_err("no file");
        assert!(wrong.0[0].help.as_deref().is_some_and(|h| h.contains("gantlet init")), "{wrong}");
    }
}
