//! What trained models provide: one list, with a trait for each entry.
//!
//! A family states its products twice: by name before there is a tensor ([`Family::products`](super::Family::products)), so that
//! `check` can refuse a metric that needs another, and by a handle once it is built
//! ([`Objective::provides`](super::Objective::provides)). A metric names its product as a type of [`provided`] and is handed
//! that handle alone.

use super::latent::LatentSpec;
use super::{PIECE, Request, piece};
use crate::base::{Array, host};
use crate::data::Examples;
use crate::player::Player;
use tch::Tensor;

/// An entry of the list as a type.
pub trait Provided {
    /// Its name.
    const PRODUCT: Product;
    /// What answers for it.
    type Handle<'a>: Copy;
    /// The handle, where the model provides it.
    fn of<'a>(provides: &Provides<'a>) -> Option<Self::Handle<'a>>;
}

macro_rules! products {
    ($( $(#[$doc:meta])* $name:ident, $field:ident: $handle:ty, $words:literal; )*) => {
        /// What a trained model provides, and metrics are taken of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Product { $( $(#[$doc])* $name, )* }

        impl Product {
            /// In a sentence.
            pub fn name(self) -> &'static str {
                match self { $( Self::$name => $words, )* }
            }
        }

        /// The handles of a model's products.
        #[derive(Clone, Copy, Default)]
        pub struct Provides<'a> { $( $(#[$doc])* pub $field: Option<$handle>, )* }

        impl Provides<'_> {
            /// The names of those that there are.
            pub fn products(&self) -> Vec<Product> {
                [$( self.$field.map(|_| Product::$name), )*].into_iter().flatten().collect()
            }
        }

        /// Every product as a type.
        pub mod provided {
            $(
                $(#[$doc])*
                #[derive(Clone, Copy, Debug)]
                pub struct $name;

                impl super::Provided for $name {
                    const PRODUCT: super::Product = super::Product::$name;
                    type Handle<'a> = $handle;

                    fn of<'a>(provides: &super::Provides<'a>) -> Option<$handle> {
                        provides.$field
                    }
                }
            )*
        }
    };
}

products! {
    /// New examples.
    Samples, samples: &'a dyn crate::objective::Generate, "samples";
    /// Samples as functions of latents, which can be moved along.
    Latents, latents: &'a dyn crate::objective::Decode, "samples from latents";
    /// What layers say of a given example, without its label.
    Features, features: &'a dyn crate::objective::Examine, "features of unlabeled examples";
    /// The probability of every class for a given example.
    Classes, classes: &'a dyn crate::objective::Classify, "class probabilities";
    /// The probability of every class for a given example in a second domain.
    SecondClasses, second_classes: &'a dyn crate::objective::ClassifySecond, "class probabilities in a second domain";
    /// Samples of two domains from one latent.
    Pairs, pairs: &'a dyn crate::objective::Couple, "samples in two domains";
    /// Categorical codes, of samples and of a given example.
    CategoricalCodes, categorical_codes: &'a dyn crate::objective::Encode, "categorical codes";
    /// Continuous codes, of samples and of a given example.
    ContinuousCodes, continuous_codes: &'a dyn crate::objective::Encode, "continuous codes";
    /// What becomes of a given example.
    Reconstructions, reconstructions: &'a dyn crate::objective::Reconstruct, "reconstructions";
    /// How likely a given example is, or a bound on that.
    Likelihoods, likelihoods: &'a dyn crate::objective::Likelihoods, "likelihoods";
    /// The evidence lower bound of a given example in its parts.
    Evidence, evidence: &'a dyn crate::objective::Bound, "evidence bounds";
}

/// A family whose result can be sampled.
pub trait Generate {
    /// `n` samples of every run, each a function of the run's seed, `purpose` and `index` alone. Labels are those asked
    /// for, or go round through the classes.
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples>;

    /// The same samples, where making them takes long: `tell` hears now and then how much of how much is done. Families whose
    /// samples are made at once say nothing.
    fn generate_slowly(
        &self,
        players: &[Player],
        request: &Request<'_>,
        _tell: &mut dyn FnMut(u64, u64),
    ) -> Vec<Examples> {
        self.generate(players, request)
    }
}

/// A family whose samples are functions of latents.
pub trait Decode {
    /// The law of the first numbers of a latent; what stands behind them are codes.
    fn law(&self) -> LatentSpec;

    /// What the samples of this request are made from, in every run.
    fn latents(&self, request: &Request<'_>) -> Latents;

    /// What becomes of latents `[R, n, width]`, with derivatives by them: `[R, n, …]`. The labels are those of the n, where
    /// it takes some.
    fn decode(&self, players: &[Player], z: &Tensor, labels: &[i64], averaged: bool) -> Tensor;
}

/// What samples are made from.
#[derive(Debug)]
pub struct Latents {
    /// `[R, n, width]`: the numbers of the law, then those of codes.
    pub z: Tensor,
    /// A label for each of the n, where the model takes labels.
    pub labels: Vec<i64>,
}

/// What a model makes of latents: `[n, …]` for each run.
pub fn decoded(model: &dyn Decode, players: &[Player], latents: &Latents, averaged: bool) -> Vec<Array> {
    let _guard = tch::no_grad_guard();
    let (runs, n) = (latents.z.size()[0] as usize, latents.z.size()[1] as usize);
    let (mut out, mut shape, mut start) = (vec![Vec::new(); runs], vec![], 0);
    while start < n {
        // The first few tell how large an example is.
        let row: usize = if start == 0 { PIECE / 1024 } else { shape.iter().product() };
        let len = piece(row).min(n - start);
        let labels = latents.labels.get(start..start + len).unwrap_or_default();
        let x = model.decode(players, &latents.z.narrow(1, start as i64, len as i64), labels, averaged);
        shape = x.size()[2..].iter().map(|&d| d as usize).collect();
        for (out, x) in out.iter_mut().zip(host::numbers(&x).chunks_exact(len * shape.iter().product::<usize>())) {
            out.extend_from_slice(x);
        }
        start += len;
    }
    let shape = [&[n], &shape[..]].concat();
    out.into_iter().map(|data| Array::new(shape.clone(), data)).collect()
}

/// A family that names classes.
pub trait Classify {
    /// The log-probability of every class for each of these examples, `[n, classes]` for every run.
    fn classify(&self, players: &[Player], x: &Array, averaged: bool) -> Vec<Array>;
}

/// A family whose generator is fed codes, and which reads codes off examples.
pub trait Encode {
    /// The codes that the samples of this request are made from, of every run.
    fn codes(&self, request: &Request<'_>) -> Vec<Codes>;

    /// The likeliest codes of each of these examples, in every run.
    fn read(&self, players: &[Player], x: &Array) -> Vec<Codes>;
}

/// Codes of examples, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Codes {
    /// The value of each categorical code for each example.
    pub categorical: Vec<Vec<i64>>,
    /// The values of all continuous codes, `[n, dimensions]`.
    pub continuous: Array,
}

/// A family of two domains, which makes a sample of each from one latent.
pub trait Couple {
    /// The second domain's samples from the latents of this request, in every run; `first` are those of the first domain.
    fn pairs(&self, players: &[Player], request: &Request<'_>, first: &[&Array]) -> Vec<Pairs>;
}

/// A family of two domains that names classes in the second, of which it saw no label.
pub trait ClassifySecond {
    /// The log-probability of every class for each of these examples once they are in the second domain, `[n, classes]` by that
    /// domain's network and by the first domain's, for every run.
    fn classify_second(&self, players: &[Player], x: &Array) -> Vec<[Array; 2]>;
}

/// A family with a network whose layers describe examples.
pub trait Examine {
    /// The features of each of these examples, in every run: of all layers of that network, or of the last alone. Nothing where
    /// a layer needs labels.
    fn features(&self, players: &[Player], x: &Array, every: bool) -> Vec<Option<Array>>;
}

/// Samples of the second of two domains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// What the model makes, `[n, …]`.
    pub second: Array,
    /// What the first domain's samples of the same latents become in the second, `[n, …]`.
    pub expected: Array,
    /// The centers of the data's modes in the second domain, where there are some.
    pub centers: Option<Array>,
}

/// A family that takes examples apart and puts them together again.
pub trait Reconstruct {
    /// What becomes of these examples, `[n, …]` for every run.
    fn reconstruct(&self, players: &[Player], real: &Examples) -> Vec<Array>;
}

/// A family that says how likely examples are.
pub trait Likelihoods {
    /// log p of each of these examples for every run: what is known of it after each of these numbers of draws, in their
    /// order, or the exact number alone. `averaged` says whether averaged weights are asked where there are any.
    fn likelihoods(
        &self,
        players: &[Player],
        real: &Examples,
        draws: &[u32],
        seeds: &[u64],
        averaged: bool,
    ) -> Vec<Vec<Nats>>;

    /// What kind of numbers these are, `density` or `mass levels=256`: those of one kind can stand together, whatever model
    /// they are of.
    fn kind(&self) -> String;

    /// What `p` is, in a word or two for a protocol.
    fn law(&self) -> String;
}

/// A family whose likelihoods are bounded from below.
pub trait Bound: Likelihoods {
    /// The evidence lower bound of each of these examples in its parts, for every run.
    fn evidence(&self, players: &[Player], real: &Examples, draws: u32, seeds: &[u64]) -> Vec<Evidence>;
}

/// log p of examples in nats, or what bounds it from below.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nats {
    /// Draws behind the bound log (1/k) Σ p(x, z)/q(z|x); 0 where the numbers are exact.
    pub draws: u32,
    /// One an example.
    pub of: Vec<f32>,
}

/// The evidence lower bound in its parts, one number an example.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Draws behind `reconstruction`.
    pub draws: u32,
    /// E log p(x|z) in nats.
    pub reconstruction: Vec<f32>,
    /// KL(q(z|x) ‖ p(z)) in nats, in closed form.
    pub divergence: Vec<f32>,
    /// How many dimensions of the code follow the example: those whose mean varies by more than 0.01 (arXiv:1509.00519).
    pub active: usize,
}
