//! A trained pack as metrics see it: what it provides, and the examples that it is asked about.

use super::product::Provided;
use super::{Objective, Request};
use crate::data::{DataInfo, Examples};
use crate::player::Player;
use crate::rng::Purpose;
use tch::Device;

/// A trained pack. Its lists have one entry per run.
pub struct Model<'a> {
    /// Its mathematics.
    pub objective: &'a dyn Objective,
    /// Its players.
    pub players: &'a [Player],
    /// The seeds of its runs.
    pub seeds: &'a [u64],
    /// The data of each run.
    pub info: &'a [&'a DataInfo],
    /// Reference examples of each run.
    pub real: &'a [&'a Examples],
    /// Training examples of each run.
    pub training: &'a [&'a Examples],
    /// Samples of each run; empty where it provides none.
    pub samples: &'a [Examples],
    /// How many samples a metric looks at.
    pub n: usize,
    /// Whether averaged weights answer where there are any.
    pub averaged: bool,
    /// Where its tensors live.
    pub device: Device,
}

impl<'a> Model<'a> {
    /// What answers for a product.
    ///
    /// # Panics
    /// If the model does not provide it.
    pub fn handle<P: Provided>(&self) -> P::Handle<'a> {
        let what = P::PRODUCT.name();
        P::of(&self.objective.provides()).unwrap_or_else(|| panic!("`check` admits no metric of {what} here"))
    }

    /// The request for the samples of evaluation.
    pub fn request(&self) -> Request<'a> {
        let (seeds, n, averaged) = (self.seeds, self.n, self.averaged);
        Request { seeds, purpose: Purpose::Eval, index: 0, n, label: None, averaged }
    }
}
