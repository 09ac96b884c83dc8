//! Checks that need the headers of data and the shapes of networks, and what a plan shows of both.

use super::layers;
use super::networks::{PlayerNetwork, networks};
use super::spec::Experiment;
use super::start::StartSpec;
use crate::base::Problem;
use crate::data::{DataError, DataInfo, DataRoots, DataSpec};
use crate::nn::plan::Row;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What a plan shows of a cell beyond its settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellFacts {
    /// A table for each network.
    pub networks: Vec<NetworkTable>,
    /// What the data are; `None` where they are missing.
    pub data: Option<DataFacts>,
    /// The names that `eval.csv` will have; empty where they are not known.
    pub metrics: Vec<String>,
    /// Which layers of players begin with weights of another run, in words.
    pub starts: Vec<String>,
}

/// The size of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataFacts {
    /// How many examples there are; `None` where they are drawn on the fly.
    pub examples: Option<u64>,
    /// The shape of one example.
    pub shape: Vec<usize>,
    /// How many classes there are; 0 without labels.
    pub classes: usize,
}

/// A network's layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkTable {
    /// The player.
    pub name: String,
    /// Its layers in order.
    pub rows: Vec<Row>,
    /// Parameters of all layers.
    pub total: u64,
}

/// The headers of all data that cells name, each read once.
#[derive(Debug)]
pub struct Headers {
    /// Where data are looked for beside the folders that a file and an experiment name.
    everywhere: DataRoots,
    read: RefCell<Vec<Header>>,
}

/// The header of one data set as one experiment's file finds it.
#[derive(Debug)]
struct Header {
    file: PathBuf,
    folders: Vec<PathBuf>,
    spec: DataSpec,
    found: Result<Rc<DataInfo>, Rc<DataError>>,
}

impl Headers {
    /// None read yet; `everywhere` are the folders in which every experiment looks for data.
    pub fn new(everywhere: DataRoots) -> Self {
        Self { everywhere, read: RefCell::default() }
    }

    /// Where an experiment of this file looks for its data.
    pub fn roots(&self, file: &Path, folders: &[PathBuf]) -> DataRoots {
        self.everywhere.beside(file, folders)
    }

    /// What a plan shows of a cell of this file. Missing data are no mistake of the cell.
    ///
    /// # Errors
    /// Everything that is wrong with the cell.
    pub fn facts(&self, file: &Path, cell: &Experiment) -> Result<CellFacts, Vec<Problem>> {
        let info = match self.info(file, cell) {
            Ok(info) => info,
            Err(error) => match error.mistake() {
                Some(message) => return Err(vec![Problem::at("data", message)]),
                None => return Ok(CellFacts::default()),
            },
        };
        let of_metrics = cell.eval.problems(&info, cell.algorithm.family().products()).into_iter();
        let mut problems: Vec<Problem> =
            of_metrics.map(|(path, message)| Problem::at(format!("eval.metrics.{path}"), message)).collect();
        let networks = networks(cell, &info).unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        });
        let mut starts = Vec::new();
        // The networks that players begin with are compared with networks that are right themselves.
        let begun = if problems.is_empty() { &cell.start } else { &BTreeMap::new() };
        for (player, start) in begun.iter().filter(|(_, start)| start.layers != Some(0)) {
            match self.begins_with(file, player, start, &networks) {
                Ok(words) => starts.extend(words),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let table = |network: &PlayerNetwork| NetworkTable {
            name: network.part.player.to_owned(),
            rows: network.plan.rows.clone(),
            total: network.plan.learned() as u64,
        };
        let names = cell.eval.metrics.iter().flat_map(|metric| metric.names(&info));
        Ok(CellFacts {
            networks: networks.iter().map(table).collect(),
            metrics: names.map(|name| name.name.into_owned()).collect(),
            data: Some(DataFacts { examples: info.len, shape: info.shape.clone(), classes: info.classes }),
            starts,
        })
    }

    /// The data of a cell of this file that cannot be found or read.
    pub fn missing(&self, file: &Path, cell: &Experiment) -> Option<Rc<DataError>> {
        self.info(file, cell).err()
    }

    /// Which layers a player begins with, in words, where the data of the other experiment are there.
    fn begins_with(
        &self,
        file: &Path,
        player: &str,
        start: &StartSpec,
        networks: &[PlayerNetwork],
    ) -> Result<Option<String>, Vec<Problem>> {
        let other = &*start.experiment;
        let below = |found: Vec<Problem>| -> Vec<Problem> {
            found.into_iter().map(|problem| problem.below(&format!("start.{player}.experiment"))).collect()
        };
        self.facts(file, other).map_err(below)?;
        let Ok(info) = self.info(file, other) else { return Ok(None) };
        let others = super::networks(other, &info).map_err(below)?;
        layers::fit(player, start, networks, &others).map(Some).map_err(|problem| vec![problem])
    }

    fn info(&self, file: &Path, cell: &Experiment) -> Result<Rc<DataInfo>, Rc<DataError>> {
        let (spec, folders) = (&cell.data, &cell.data_folders);
        let is_same = |known: &&Header| known.spec == *spec && known.file == file && known.folders == *folders;
        if let Some(known) = self.read.borrow().iter().find(is_same) {
            return known.found.clone();
        }
        let found = spec.info(&self.roots(file, folders)).map(Rc::new).map_err(Rc::new);
        let header = Header { file: file.to_owned(), folders: folders.clone(), spec: spec.clone(), found };
        let mut read = self.read.borrow_mut();
        read.push(header);
        read[read.len() - 1].found.clone()
    }
}
