//! Layers executed by this program instead of libtorch's operations, where that is faster: which steps of a plan they replace, and
//! the switch that turns each of our own paths off.
//!
//! Chains are found when a plan is made; which of them run is known at a pass: by device, kinds of numbers, threads, and whether the
//! loss contains slopes. With `GANTLET_PLAIN=1` in the environment no path of our own is taken, with `GANTLET_PLAIN=medium,im2col`
//! none of these: results keep their meaning and change their last bits.

pub mod medium;
pub mod small;

use super::layer::Step;
use super::layer::activation::ActivationSpec;
use super::layer::linear::Linear;
use super::layer::minibatch::Minibatch;
use super::plan::ParamPlan;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A path of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Chains of small dense layers ([`small`]).
    Small,
    /// Chains of dense layers of some hundreds of units ([`medium`]).
    Medium,
    /// Convolutions with few channels as products of matrices ([`im2col`](super::im2col)).
    Im2col,
    /// Large products run by run ([`dense`](super::dense)).
    Dense,
}

impl Path {
    const ALL: [(&str, Self); 4] =
        [("small", Self::Small), ("medium", Self::Medium), ("im2col", Self::Im2col), ("dense", Self::Dense)];

    /// Whether the environment leaves it on.
    ///
    /// # Panics
    /// If `GANTLET_PLAIN` names a path that does not exist.
    pub fn is_on(self) -> bool {
        static OFF: OnceLock<Vec<Path>> = OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "an ablation is no setting of an experiment: it must not change run ids"
        )]
        let value = || std::env::var("GANTLET_PLAIN").unwrap_or_default();
        !OFF.get_or_init(|| Self::off(&value()).unwrap_or_else(|e| panic!("{e}"))).contains(&self)
    }

    /// The paths that a value of `GANTLET_PLAIN` turns off.
    fn off(value: &str) -> Result<Vec<Self>, String> {
        if value == "1" {
            return Ok(Self::ALL.map(|(_, path)| path).to_vec());
        }
        let path = |name: &str| {
            let found = Self::ALL.iter().find(|(known, _)| *known == name);
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            found.map(|(_, path)| *path).ok_or_else(|| {
                format!(
                    "GANTLET_PLAIN has `{name}`; it takes 1, or paths to turn off, with commas between them: {names}"
                )
            })
        };
        value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(path).collect()
    }
}

/// What an operation is in a chain of dense layers.
pub(super) enum Link<'a> {
    Linear(&'a Linear),
    Activation(ActivationSpec),
    Minibatch(&'a Minibatch),
    /// No part of a chain.
    Outside,
}

/// Operations one after the other, and the chains among them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steps {
    all: Vec<Step>,
    /// With small chains, with medium ones, and with both; nothing where no chain is.
    fused: Option<Arc<[Vec<Piece>; 3]>>,
}

/// One piece of work.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// The step of this index.
    Step(usize),
    Small(Arc<small::Chain>),
    Medium(Arc<medium::Chain>),
}

/// Which chains run in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chains {
    pub small: bool,
    pub medium: bool,
}

impl Steps {
    /// Finds the chains among steps with these parameters.
    pub fn new(all: Vec<Step>, params: &[ParamPlan]) -> Self {
        let ways = [(true, false), (false, true), (true, true)];
        let fused = ways.map(|(small, medium)| fuse(&all, params, Chains { small, medium }));
        let any = fused.iter().flatten().any(|piece| !matches!(piece, Piece::Step(_)));
        Self { fused: any.then(|| Arc::new(fused)), all }
    }

    /// Whether there are chains.
    pub fn has_chains(&self) -> bool {
        self.fused.is_some()
    }

    /// The work, with these chains; nothing where it is step by step.
    pub fn pieces(&self, chains: Chains) -> Option<&[Piece]> {
        let fused = self.fused.as_ref()?;
        match (chains.small, chains.medium) {
            (false, false) => None,
            (true, false) => Some(&fused[0]),
            (false, true) => Some(&fused[1]),
            (true, true) => Some(&fused[2]),
        }
    }
}

impl Deref for Steps {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        &self.all
    }
}

impl<'a> IntoIterator for &'a Steps {
    type Item = &'a Step;
    type IntoIter = std::slice::Iter<'a, Step>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

/// The steps with the longest chains in their stead; of two as long, the small one.
fn fuse(all: &[Step], params: &[ParamPlan], chains: Chains) -> Vec<Piece> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < all.len() {
        let rest = &all[at..];
        let small = chains.small.then(|| small::Chain::of(rest, params)).flatten();
        let medium = chains.medium.then(|| medium::Chain::of(rest, params)).flatten();
        let (piece, taken) = match (small, medium) {
            (Some((small, n)), medium) if medium.as_ref().is_none_or(|(_, m)| n >= *m) => {
                (Piece::Small(Arc::new(small)), n)
            }
            (_, Some((medium, n))) => (Piece::Medium(Arc::new(medium)), n),
            (_, None) => (Piece::Step(at), 1),
        };
        pieces.push(piece);
        at += taken;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{discriminator, planned};

    /// The kinds of pieces, each with a letter: `s`mall, `m`edium, and `.` for a step.
    fn pieces(toml: &str, chains: Chains) -> String {
        let plan = planned(toml, &discriminator(&[10])).expect("it fits");
        let kind = |piece: &Piece| match piece {
            Piece::Step(_) => '.',
            Piece::Small(_) => 's',
            Piece::Medium(_) => 'm',
        };
        let of = |steps: &Steps| match steps.pieces(chains) {
            Some(pieces) => pieces.iter().map(kind).collect::<String>(),
            None => ".".repeat(steps.len()),
        };
        format!("{}|{}", of(&plan.body), of(&plan.last))
    }

    #[test]
    fn the_longest_chain_is_taken_and_none_runs_on_into_the_last_layer() {
        let way = |small, medium| Chains { small, medium };
        // 10 → 20 and its tanh are small, 20 → 100 is not; tanh is in no medium chain.
        let mixed = "{ layers = [{ linear = 20 }, 'tanh', { linear = 100 }, 'relu', { linear = 1 }] }";
        assert_eq!(pieces(mixed, way(true, true)), "sm|m");
        assert_eq!(pieces(mixed, way(true, false)), "s..|.");
        assert_eq!(pieces(mixed, way(false, true)), "m.m|m");
        assert_eq!(pieces(mixed, way(false, false)), "....|.");
        let small = "{ layers = [{ linear = 8 }, 'relu', { minibatch-discrimination = { kernels = 2, dims = 2 } }, { linear = 1 }] }";
        assert_eq!(pieces(small, way(true, true)), "s|s");
        assert_eq!(pieces(small, way(false, true)), "m.|m");
        let neither =
            "{ layers = [{ linear = { out = 8, weight = 'spectral' } }, 'relu', { linear = 300 }, { linear = 1 }] }";
        assert_eq!(pieces(neither, way(true, true)), "...|.");
    }

    #[test]
    fn the_switch_turns_off_all_paths_or_those_that_it_names() {
        assert_eq!(Path::off(""), Ok(vec![]));
        assert_eq!(Path::off("1").map(|off| off.len()), Ok(4));
        assert_eq!(Path::off("medium, im2col"), Ok(vec![Path::Medium, Path::Im2col]));
        assert!(
            Path::off("columns").is_err_and(|e| e.contains("`columns`") && e.contains("small, medium, im2col, dense"))
        );
    }
}
