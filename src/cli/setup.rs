//! `init`, `schema`, `doctor` and `completions`.

use super::args::{Cli, CompletionsArgs, InitArgs};
use super::ask::asked;
use super::{Exit, Failure, cores, data_roots, found_devices, libtorch, print};
use crate::base::file;
use crate::data::catalog::{self, Presence};
use crate::experiment;
use crate::record::event::{Event, WorkerRequest};
use crate::schedule::process::worker_beside_this_program;
use crate::ui::{table, words};
use clap::CommandFactory as _;
use std::path::{Path, PathBuf};

/// `gantlet init`.
pub(super) fn init(args: &InitArgs) -> Result<Exit, Failure> {
    let path = Path::new(&args.name).with_extension("toml");
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if !experiment::check::names_a_folder(&name) {
        return Err(Failure::new(Exit::Usage, format!("`{name}` is no name for an experiment"))
            .help("its runs lie in a folder of that name: take letters, digits, `-`, `_` and `.`, at most 100"));
    }
    if path.exists() {
        return Err(
            Failure::new(Exit::Usage, format!("{} is there already", path.display())).help("choose another name")
        );
    }
    file::write_atomic(&path, experiment::starter(&name).as_bytes())?;
    print(&format!("wrote {0}\n\n  gantlet plan {0}\n  gantlet run {0}\n  gantlet verify {0}\n", path.display()))?;
    Ok(Exit::Well)
}

/// `gantlet schema`.
pub(super) fn schema() -> Result<Exit, Failure> {
    super::print_json(&experiment::json_schema())?;
    Ok(Exit::Well)
}

/// `gantlet completions`.
pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gantlet", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Well)
}

/// `gantlet doctor`.
pub(super) fn doctor() -> Result<Exit, Failure> {
    let mut facts: Vec<(&str, String)> = vec![("gantlet", env!("CARGO_PKG_VERSION").to_owned())];
    let torch = libtorch();
    facts.push((
        "libtorch",
        match &torch {
            Some(root) => {
                format!("{} in {}", torch_version(root).unwrap_or_else(|| "version unknown".to_owned()), root.display())
            }
            None => "not found: `just setup` fetches it, or LIBTORCH names your own".to_owned(),
        },
    ));
    let found = found_devices();
    facts.push((
        "devices",
        match found.gpus() {
            Ok(gpus) => format!("{}, cpu", gpus.iter().map(|gpu| gpu.name.as_str()).collect::<Vec<_>>().join(", ")),
            Err(why) => format!("cpu ({why})"),
        },
    ));
    facts.push(("cores", cores().to_string()));
    if let Some(memory) = memory() {
        facts.push(("memory", words::bytes(memory)));
    }
    let roots = data_roots();
    let shown = |root: &PathBuf| {
        let there = if root.is_dir() { "" } else { " (not there)" };
        format!("{}{there}", root.display())
    };
    facts.push(("data folders", roots.folders.iter().map(shown).collect::<Vec<_>>().join("\n")));
    let here = catalog::list(&roots).into_iter().filter(|set| matches!(set.present, Presence::Present(_)));
    let here: Vec<String> = here.map(|set| set.name).collect();
    facts.push(("data sets", if here.is_empty() { "none (`gantlet data ls`)".to_owned() } else { here.join(", ") }));
    let mut told: Vec<(String, String)> = Vec::new();
    let worker = worker_beside_this_program().map_err(Failure::from).and_then(|path| {
        asked(1, &WorkerRequest::Doctor, |event| {
            if let Event::Doctor { facts } = event {
                told = facts;
            }
        })?;
        Ok(path)
    });
    facts.push((
        "worker",
        match &worker {
            Ok(path) => format!("{} starts", path.display()),
            Err(failure) => failure.message.clone(),
        },
    ));
    let told: Vec<(String, String)> = told.into_iter().map(|(name, fact)| (format!("worker's {name}"), fact)).collect();
    facts.extend(told.iter().map(|(name, fact)| (name.as_str(), fact.clone())));
    print(&table::pairs(&facts))?;
    match (worker, torch) {
        (Ok(_), Some(_)) => Ok(Exit::Well),
        (Err(failure), _) => Err(failure),
        (_, None) => Err(Failure::new(Exit::Unexpected, "there is no libtorch")),
    }
}

/// The version of the libtorch in this folder, from whichever of its papers are there.
fn torch_version(root: &Path) -> Option<String> {
    let stated = std::fs::read_to_string(root.join("build-version")).ok().map(|text| text.trim().to_owned());
    let from_python = || {
        let text = std::fs::read_to_string(root.join("version.py")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
        Some(line.trim_matches(['\'', '"']).to_owned())
    };
    let from_header = || version_in(&std::fs::read_to_string(root.join("include/torch/headeronly/version.h")).ok()?);
    let from_metadata = || {
        let beside = std::fs::read_dir(root.parent()?).ok()?;
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
        beside
            .filter_map(name)
            .find_map(|name| Some(name.strip_prefix("torch-")?.strip_suffix(".dist-info")?.to_owned()))
    };
    stated.filter(|text| !text.is_empty()).or_else(from_python).or_else(from_header).or_else(from_metadata)
}

/// The value of `TORCH_VERSION` in libtorch's header, which may stand on the line after the name.
fn version_in(header: &str) -> Option<String> {
    let rest = header.split("#define TORCH_VERSION").skip(1).find(|rest| rest.starts_with(char::is_whitespace))?;
    let value = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\\').strip_prefix('"')?;
    Some(value.split_once('"')?.0.to_owned())
}

/// The memory of this machine in bytes.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_installed_libtorch_is_the_one_that_this_program_is_made_for() {
        let root = libtorch().expect("the libtorch that this test runs with");
        let version = torch_version(&root).expect("one of its files has the version");
        // A build's name may follow: 2.11.0+cu130.
        assert_eq!(version.split('+').next(), Some(crate::train::LIBTORCH), "{version}");
    }

    #[test]
    fn a_header_has_the_version_beside_its_name_or_on_the_next_line() {
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION \\\n  \"2.11.0\"\n";
        assert_eq!(version_in(header).as_deref(), Some("2.11.0"));
        assert_eq!(version_in("#define TORCH_VERSION \"2.1.0\"\n").as_deref(), Some("2.1.0"));
        assert_eq!(version_in("#define TORCH_VERSION_MAJOR 2\n"), None);
    }
}
