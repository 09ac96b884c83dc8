//! Rules for this repository that the compiler does not check.

mod common;

use common::skip::Need;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let paths = entries.map(|e| e.expect("a readable folder").into_path());
    paths.filter(|p| p.extension().is_some_and(|e| e == ending)).collect()
}

#[test]
fn folders_import_only_those_that_stand_above_them_in_lib_rs() {
    let src = root().join("src");
    let lib = std::fs::read_to_string(src.join("lib.rs")).expect("lib.rs");
    let order: Vec<&str> = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.split(';').next()).collect();
    assert!(order.len() > 10, "{order:?}");
    let rank = |name: &str| order.iter().position(|o| *o == name);
    let mut wrong = Vec::new();
    for path in files(&src, "rs") {
        let inside = path.strip_prefix(&src).expect("a path below src");
        let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let Some(own) = rank(first.trim_end_matches(".rs")) else { continue };
        let text = std::fs::read_to_string(&path).expect("a source file");
        // Tests may look anywhere.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for part in code.split("crate::").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if rank(&name).is_some_and(|other| other > own) {
                wrong.push(format!("{} imports `{name}`, which stands below it", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The source files below a folder, parsed, by their path below the root. Files and modules for tests are left out.
fn parsed(folder: &str) -> BTreeMap<String, syn::File> {
    let is_test = |attribute: &syn::Attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    };
    let mut parsed = BTreeMap::new();
    let mut tests = BTreeSet::new();
    for path in files(&root().join(folder), "rs") {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let mut file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // The folder of the modules that a file declares.
        let own = path.with_extension("");
        let below = if own.ends_with("mod") || own.ends_with("lib") { own.parent().expect("a folder") } else { &own };
        file.items.retain(|item| {
            let syn::Item::Mod(module) = item else { return true };
            let test = module.attrs.iter().any(is_test);
            if test && module.content.is_none() {
                tests.insert(below.join(module.ident.to_string()));
            }
            !test
        });
        parsed.insert(path, file);
    }
    parsed.retain(|path, _| !tests.iter().any(|test| path.with_extension("") == *test || path.starts_with(test)));
    let name = |path: &Path| path.strip_prefix(root()).expect("a path below the root").display().to_string();
    parsed.into_iter().map(|(path, file)| (name(&path), file)).collect()
}

/// Finds every `match` that names a variant of an enum of this crate and has an arm for all others.
struct Wildcards<'a> {
    enums: &'a BTreeSet<String>,
    /// The type that `Self` stands for.
    own: Option<String>,
    lines: Vec<usize>,
}

impl Wildcards<'_> {
    fn is_variant(&self, path: &syn::Path) -> bool {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let [.., owner, _] = &names[..] else { return false };
        let owner = if owner == "Self" { self.own.as_ref() } else { Some(owner) };
        owner.is_some_and(|owner| self.enums.contains(owner))
    }

    fn names_a_variant(&self, pattern: &syn::Pat) -> bool {
        match pattern {
            syn::Pat::Path(p) => self.is_variant(&p.path),
            syn::Pat::TupleStruct(p) => self.is_variant(&p.path) || p.elems.iter().any(|p| self.names_a_variant(p)),
            syn::Pat::Struct(p) => self.is_variant(&p.path) || p.fields.iter().any(|f| self.names_a_variant(&f.pat)),
            syn::Pat::Tuple(p) => p.elems.iter().any(|p| self.names_a_variant(p)),
            syn::Pat::Slice(p) => p.elems.iter().any(|p| self.names_a_variant(p)),
            syn::Pat::Or(p) => p.cases.iter().any(|p| self.names_a_variant(p)),
            syn::Pat::Reference(p) => self.names_a_variant(&p.pat),
            syn::Pat::Paren(p) => self.names_a_variant(&p.pat),
            syn::Pat::Ident(p) => p.subpat.as_ref().is_some_and(|(_, p)| self.names_a_variant(p)),
            _ => false,
        }
    }
}

/// Whether a pattern matches every value: `_`, a name, or a tuple of these.
fn is_wildcard(pattern: &syn::Pat) -> bool {
    match pattern {
        syn::Pat::Wild(_) => true,
        syn::Pat::Ident(p) => {
            p.subpat.is_none() && p.ident.to_string().starts_with(|c: char| c.is_lowercase() || c == '_')
        }
        syn::Pat::Tuple(p) => p.elems.iter().all(is_wildcard),
        syn::Pat::Reference(p) => is_wildcard(&p.pat),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Wildcards<'_> {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.own, name);
        visit::visit_item_impl(self, item);
        self.own = outer;
    }

    fn visit_expr_match(&mut self, e: &'ast syn::ExprMatch) {
        let wild = e.arms.iter().find(|arm| arm.guard.is_none() && is_wildcard(&arm.pat));
        if let Some(arm) = wild.filter(|_| e.arms.iter().any(|arm| self.names_a_variant(&arm.pat))) {
            self.lines.push(syn::spanned::Spanned::span(&arm.pat).start().line);
        }
        visit::visit_expr_match(self, e);
    }
}

/// The names that a file imports from other crates.
fn foreign(file: &syn::File) -> BTreeSet<String> {
    fn leaves(tree: &syn::UseTree, names: &mut BTreeSet<String>) {
        match tree {
            syn::UseTree::Path(path) => leaves(&path.tree, names),
            syn::UseTree::Name(name) => drop(names.insert(name.ident.to_string())),
            syn::UseTree::Rename(name) => drop(names.insert(name.rename.to_string())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, names)),
            syn::UseTree::Glob(_) => {}
        }
    }
    let mut names = BTreeSet::new();
    for item in &file.items {
        let syn::Item::Use(syn::ItemUse { tree: syn::UseTree::Path(path), .. }) = item else { continue };
        if !["crate", "self", "super"].iter().any(|own| path.ident == own) {
            leaves(&path.tree, &mut names);
        }
    }
    names
}

struct Enums(BTreeSet<String>);

impl<'ast> Visit<'ast> for Enums {
    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.0.insert(item.ident.to_string());
    }
}

fn wildcards(files: &BTreeMap<String, syn::File>, enums: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, file) in files {
        let enums = enums - &foreign(file);
        let mut wildcards = Wildcards { enums: &enums, own: None, lines: Vec::new() };
        wildcards.visit_file(file);
        found.extend(wildcards.lines.iter().map(|line| format!("{name}:{line}")));
    }
    found
}

/// What a restructuring has yet to remove: these numbers may only shrink, and end at 0.
const WILD: [(&str, usize); 4] = [("src/nn", 20), ("src/objective", 11), ("src/eval", 7), ("src/experiment", 17)];
const LONG: usize = 7;
const NAMED_PLACE: usize = 955;

/// A variant that is added later must not fall into an arm that was written without it.
#[test]
fn no_match_over_an_enum_of_ours_has_an_arm_for_all_others() {
    let mut enums = Enums(BTreeSet::new());
    parsed("src").values().for_each(|file| enums.visit_file(file));
    assert!(enums.0.len() > 100, "{:?}", enums.0);
    let mut wrong = Vec::new();
    for (folder, most) in WILD {
        let found = wildcards(&parsed(folder), &enums.0);
        if found.len() > most {
            wrong.push(format!("{folder}: {} are more than {most}:\n{}", found.len(), found.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_arm_for_all_others_is_found_in_every_form_and_nothing_else_is() {
    let enums = BTreeSet::from(["Own".to_owned()]);
    let count = |arms: &str| {
        let text = format!("impl Own {{ fn f(self) -> u8 {{ match x {{ {arms} }} }} }}");
        wildcards(&BTreeMap::from([(String::new(), syn::parse_str(&text).expect("Rust"))]), &enums).len()
    };
    for arms in [
        "Own::A => 1, _ => 2",
        "Self::A(_) => 1, other => 2",
        "Some(crate::Own::A { .. }) => 1, _ => 2",
        "(Own::A | Own::B, _) => 1, (_, _) => 2",
    ] {
        assert_eq!(count(arms), 1, "{arms}");
    }
    for arms in [
        "Own::A => 1, Own::B => 2",
        "Own::A => 1, _ if true => 2, Own::B => 3",
        "Other::A => 1, _ => 2",
        "0 => 1, _ => 2",
        "Own::A(_) => 1, Own::B(x) => x",
    ] {
        assert_eq!(count(arms), 0, "{arms}");
    }
}

#[test]
fn no_file_is_longer_than_700_lines_without_its_tests() {
    let mut long = Vec::new();
    for name in parsed("src").keys() {
        let text = std::fs::read_to_string(root().join(name)).expect("a source file");
        let lines = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().lines().count();
        if lines > 700 {
            long.push(format!("{name}: {lines}"));
        }
    }
    assert!(long.len() <= LONG, "{} are more than {LONG}:\n{}", long.len(), long.join("\n"));
}

/// The identifiers of a stream of tokens, with their lines.
fn identifiers(tokens: TokenStream, found: &mut Vec<(String, usize)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => identifiers(group.stream(), found),
            TokenTree::Ident(ident) => found.push((ident.to_string(), ident.span().start().line)),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// An index, a position, a slot, a rank and a span are different things.
#[test]
fn indices_positions_slots_and_ranks_have_these_names() {
    let mut found = Vec::new();
    for path in ["src", "tests"].iter().flat_map(|folder| files(&root().join(folder), "rs")) {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let mut all = Vec::new();
        identifiers(text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display())), &mut all);
        for (name, line) in all {
            let spaced: String =
                name.chars().flat_map(|c| [c.is_uppercase().then_some('_'), Some(c)]).flatten().collect();
            let words: Vec<String> = spaced.split('_').map(str::to_lowercase).collect();
            let is_banned = |word: &String| word == "place" || word == "places";
            if words.iter().any(is_banned) && !name.ends_with("in_place") {
                found
                    .push(format!("{}:{line}: `{name}`", path.strip_prefix(root()).expect("below the root").display()));
            }
        }
    }
    assert!(found.len() <= NAMED_PLACE, "{} are more than {NAMED_PLACE}:\n{}", found.len(), found.join("\n"));
}

/// The oldest Rust that Cargo.toml names is old enough only if every package of Cargo.lock takes it.
#[test]
fn no_locked_package_needs_a_newer_rust_than_cargo_toml_names() {
    let number = |version: &str| -> Vec<u32> { version.split('.').map(|n| n.parse().expect("a number")).collect() };
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &host])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let stated = packages.iter().filter_map(|p| Some((p["name"].as_str()?, p["rust_version"].as_str()?)));
    let newer: Vec<_> = stated.clone().filter(|(_, v)| number(v) > [number(OLDEST), vec![0]].concat()).collect();
    assert!(stated.count() > 200);
    assert_eq!(newer, [], "newer than {OLDEST}");
}

/// CI installs what the tests need, and then a missing piece fails a test.
#[test]
fn a_need_is_required_by_its_name_and_by_all() {
    for need in Need::ALL {
        let (name, _) = need.describe();
        let others: Vec<&str> = Need::ALL.iter().map(|n| n.describe().0).filter(|other| *other != name).collect();
        assert!(need.is_in("all") && need.is_in(&format!("cc, {name}")));
        assert!(!need.is_in("") && !need.is_in(&others.join(",")));
    }
    assert!(std::panic::catch_unwind(|| Need::Cc.is_in("chromium,pyhton")).is_err());
}

#[test]
fn every_experiment_says_where_it_comes_from_what_it_shows_and_how_to_run_it() {
    let all = files(&root().join("experiments"), "toml");
    assert!(all.len() > 10);
    for path in all {
        let text = std::fs::read_to_string(&path).expect("an experiment");
        let header: Vec<&str> = text.lines().take_while(|l| l.starts_with('#')).collect();
        for word in ["# Source:", "# Shows:", "# Run:"] {
            assert!(header.iter().any(|l| l.starts_with(word)), "{} has no line `{word}`", path.display());
        }
    }
}

/// Rust's own linker on this target can leave libtorch out; elsewhere the command starts a little slower.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn the_command_does_not_load_libtorch_and_the_worker_does() {
    let needed = |program: &str| {
        let bytes = std::fs::read(program).expect("a built program");
        bytes.windows(b"libtorch_cpu.so".len()).any(|w| w == b"libtorch_cpu.so")
    };
    assert!(!needed(env!("CARGO_BIN_EXE_gantlet")));
    assert!(needed(env!("CARGO_BIN_EXE_gantlet-worker")));
}
