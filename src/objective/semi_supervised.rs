//! Semi-supervised learning with K + 1 classes (arXiv:1606.03498, section 5): a discriminator that names the class of a few
//! labeled examples, and whose logits l say of all others whether they are real: d = log Σ exp l, that is l of the class
//! "generated" fixed at 0. With d the game is that of [`super::gan`], at half its weight.
//!
//! Turns and terms are those of the official code (openai/improved-gan): the generator matches mean features over a batch of
//! its own and plays no game, unless it is told to.

use super::family::{Family, ReferenceKind, Surroundings, about_critic, check_average, floats};
use super::gan::{ConditionKind, DISCRIMINATOR, GENERATOR, GanSpec, check_judged, check_targets};
use super::latent::LatentSpec;
use super::{
    Batch, Cadence, Classify, Cx, Examine, Gan, Generate, Objective, Panel, PanelRequest, Product, Provides, RealDraw,
    Request, Turn, asked, column, features, log_probabilities, mistakes,
};
use crate::base::{Array, Each, NonNegative, Problem, host};
use crate::data::{DataInfo, Examples, Source, Split, example_at};
use crate::loss::{self, LossSpec};
use crate::nn::plan::{Head, NetworkPlan, Role, Wiring};
use crate::player::{EmaSpec, Player};
use crate::rng::Purpose;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A discriminator that learns the classes of a few labeled examples beside the game.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SemiSupervisedSpec {
    /// What the generator is fed.
    pub latent: LatentSpec,
    /// How many training examples of each class have a label; which, the run's seed decides. The game sees all examples,
    /// and no labels.
    pub labels_per_class: NonZeroU32,
    /// The factor on the game in the discriminator's loss: 0 is learning from the labeled examples alone.
    #[serde(default = "SemiSupervisedSpec::unlabeled_weight")]
    pub unlabeled_weight: Each<NonNegative>,
    /// What the generator minimizes.
    #[serde(default)]
    pub generator: GeneratorKind,
    /// Averaged weights of the discriminator, used to name classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}
impl SemiSupervisedSpec {
    fn unlabeled_weight() -> Each<NonNegative> {
        Each::new(NonNegative::of(1.0))
    }
}

/// What the generator of a semi-supervised game minimizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorKind {
    /// ‖E f(x) − E f(G(z))‖² of what enters the discriminator's last layer: the better classifier.
    #[default]
    FeatureMatching,
    /// The generator's side of `loss.adversarial`: the better samples.
    Game,
}

impl Family for SemiSupervisedSpec {
    fn tag(&self) -> &'static str {
        "semi-supervised"
    }

    fn players(&self) -> &'static [&'static str] {
        &["generator", "discriminator"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        if info.classes < 2 {
            return Err(Problem::at("data", "semi-supervised learning needs data with labels of two or more classes")
                .with_help("take data with classes, or another algorithm"));
        }
        let (each, classes) = (u64::from(self.labels_per_class.get()), info.classes as u64);
        if let Some(len) = info.len.filter(|&len| len < each * classes) {
            let message = format!("{each} labels of each of {classes} classes, and there are {len} training examples");
            return Err(Problem::at("algorithm.semi-supervised.labels-per-class", message));
        }
        let wiring =
            |role, input, output, head| Wiring { role, input, output, classes: 0, labels_at_input: false, head };
        let latent = vec![self.latent.dim() as usize];
        Ok(vec![
            wiring(Role::Generator, latent, info.shape.clone(), Head::Plain),
            wiring(Role::Discriminator, info.shape.clone(), vec![info.classes], Head::LogSum),
        ])
    }

    fn reference(&self, player: &str) -> Option<ReferenceKind<'_>> {
        Some(match player {
            "generator" => ReferenceKind::Latent(&self.latent),
            _ => ReferenceKind::Data,
        })
    }

    fn products(&self) -> &'static [Product] {
        &[Product::Samples, Product::Latents, Product::Features, Product::Classes]
    }

    fn is_game(&self) -> bool {
        true
    }

    fn critics(&self) -> &'static [&'static str] {
        &["discriminator"]
    }

    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        Some(&["discriminator"][..]).zip(self.ema.as_ref())
    }

    fn about(&self, player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        if player == "discriminator" {
            let mut facts = about_critic(info, &[info.classes]);
            facts.push(("output", format!("{}, logits", floats(&[info.classes]))));
            return facts;
        }
        self.plain().about(player, info)
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        let mut wrong = self.latent.check("algorithm.semi-supervised.latent");
        wrong.extend(check_average("algorithm.semi-supervised.ema", self.ema.as_ref(), around.steps));
        let Some(loss) = around.loss else { return wrong };
        wrong.extend(check_targets(loss));
        if self.generator == GeneratorKind::FeatureMatching && loss.feature_matching.is_some() {
            let message = "matched features are all that this generator minimizes";
            wrong.push(
                Problem::at("loss.feature-matching", message)
                    .with_help("take it out, or add it to the game: `algorithm.semi-supervised.generator = \"game\"`"),
            );
        }
        wrong
    }

    fn check_networks(&self, networks: &[&NetworkPlan], info: &DataInfo, around: Surroundings<'_>) -> Vec<Problem> {
        let mut wrong = check_judged(networks[DISCRIMINATOR], info, around);
        if networks[DISCRIMINATOR].features == 0 {
            let message = "the generator matches what enters the discriminator's last linear layer, and it has none";
            let help = format!("end it with {{ linear = {} }}", info.classes);
            wrong.push(Problem::at("architecture.discriminator", message).with_help(help));
        }
        wrong
    }
}

impl SemiSupervisedSpec {
    /// The game without labels.
    fn plain(&self) -> GanSpec {
        GanSpec { latent: self.latent.clone(), condition: ConditionKind::None, report_slope: false, ema: None }
    }
}

/// The objective for the runs of a pack, which may differ in the weights of its terms.
pub struct SemiSupervised {
    gan: Gan,
    spec: SemiSupervisedSpec,
    /// Half the factor on the game, `[R]`.
    game: Tensor,
    /// The labeled examples of each run, `[R, L, …]`, and their labels, `[R, L]`.
    known: Tensor,
    labels: Tensor,
    device: Device,
}

impl SemiSupervised {
    /// The objective of a pack; `specs`, `losses`, `sources` and `seeds` have one entry a run, all of one shape.
    ///
    /// # Errors
    /// If there are not as many examples of a class as are to have labels.
    pub fn new(
        specs: &[&SemiSupervisedSpec],
        losses: &[&LossSpec],
        sources: &[Arc<dyn Source>],
        seeds: &[u64],
        device: Device,
    ) -> Result<Self, String> {
        let (spec, info) = (specs[0].clone(), sources[0].info());
        let (mut x, mut labels) = (Vec::new(), Vec::new());
        for (source, &seed) in sources.iter().zip(seeds) {
            let known = labeled_examples(&**source, seed, spec.labels_per_class.get() as usize)?;
            x.extend(known.x.data);
            labels.extend(known.labels);
        }
        let runs = seeds.len();
        let shape: Vec<i64> = [runs, labels.len() / runs].iter().chain(&info.shape).map(|&n| n as i64).collect();
        Ok(Self {
            gan: Gan::new(&spec.plain(), losses, info, device),
            spec,
            game: column(specs.iter().map(|s| 0.5 * s.unlabeled_weight.own().get()), device),
            known: host::tensor(&x, &shape, device),
            labels: Tensor::from_slice(&labels).view(&shape[..2]).to_device(device),
            device,
        })
    }

    /// The next `n` labeled examples of each run: a new order each time that all have been seen.
    fn labeled_batch(&self, n: i64, cx: &Cx<'_>) -> (Tensor, Tensor) {
        let all = self.labels.size()[1];
        let first = cx.players[DISCRIMINATOR].updates * n as u64;
        let place = |(run, &seed): (usize, &u64)| {
            (first..first + n as u64)
                .map(|position| run as i64 * all + example_at(seed, position, all as u64) as i64)
                .collect::<Vec<_>>()
        };
        let places: Vec<i64> = cx.seeds.iter().enumerate().flat_map(place).collect();
        let places = Tensor::from_slice(&places).to_device(self.device);
        let mut shape = self.known.size();
        shape[1] = n;
        let x = self.known.flatten(0, 1).index_select(0, &places).view(&shape[..]);
        (x, self.labels.flatten(0, 1).index_select(0, &places).view(&shape[..2]))
    }
}

/// The first `each` examples of every class, in an order of the training examples that the seed decides.
fn labeled_examples(source: &dyn Source, seed: u64, each: usize) -> Result<Examples, String> {
    let (classes, row) = (source.info().classes, source.info().shape.iter().product::<usize>());
    let mut asked = 2 * each * classes;
    loop {
        let all = source.reference(Split::Train, seed, asked);
        let mut counts = vec![0; classes];
        let mut known = Examples { x: Array::zeros(vec![0, row]), labels: vec![] };
        for (i, &label) in all.labels.iter().enumerate() {
            let count = usize::try_from(label).ok().and_then(|label| counts.get_mut(label));
            let Some(count) = count.filter(|count| **count < each) else { continue };
            *count += 1;
            known.x.data.extend_from_slice(all.x.row(i));
            known.labels.push(label);
        }
        known.x.shape[0] = known.labels.len();
        if let Some(class) = counts.iter().position(|&count| count < each) {
            if all.x.rows() < asked {
                let there = counts[class];
                return Err(format!(
                    "`labels-per-class` is {each}, and there are {there} training examples of class {class}"
                ));
            }
            asked *= 2;
            continue;
        }
        return Ok(known);
    }
}

impl Objective for SemiSupervised {
    fn turns(&self) -> &'static [Turn] {
        &[
            Turn { moves: &[DISCRIMINATOR], cadence: Cadence::Critic, real: RealDraw::Fresh },
            Turn { moves: &[GENERATOR], cadence: Cadence::Generator, real: RealDraw::Fresh },
        ]
    }

    fn loss(&mut self, turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let n = batch.x.size()[1];
        let mut noise = cx.noise();
        let z = self.spec.latent.draw(&mut cx.streams(Purpose::Latent), n as usize, cx.device);
        let fake = cx.forward(GENERATOR, &z, None, &mut noise).out;
        if turn == 0 {
            let (x, labels) = self.labeled_batch(n, cx);
            let logits = self.gan.judge(&x, None, cx, &mut noise).class_logits;
            let logits = logits.expect("`wirings` asks for a sum of classes");
            let class = loss::cross_entropy(&logits, &labels);
            let (game, _) = self.gan.discriminator_game(batch, &fake, None, cx, &mut noise);
            let total = &class + game * &self.game;
            cx.record("d/class", || class);
            cx.record("d/accuracy", || {
                logits.argmax(-1, false).eq_tensor(&labels).to_kind(Kind::Float).mean_dim(1i64, false, Kind::Float)
            });
            cx.record("d/loss", || total.shallow_clone());
            return total;
        }
        let judged = self.gan.judge(&fake, None, cx, &mut noise);
        let total = match self.spec.generator {
            GeneratorKind::Game => self.gan.generator_game(batch, &judged, cx, &mut noise),
            GeneratorKind::FeatureMatching => {
                let real = self.gan.judge(&batch.x, None, cx, &mut noise).features;
                let [real, fake] =
                    [real, judged.features].map(|f| f.expect("`check_networks` has seen that there are"));
                loss::feature_distance(&real, &fake)
            }
        };
        cx.record("g/loss", || total.shallow_clone());
        total
    }

    fn scalars(&self) -> Vec<&'static str> {
        let mut names = self.gan.scalars();
        names.extend(["d/class", "d/accuracy"]);
        names
    }

    fn provides(&self) -> Provides<'_> {
        Provides {
            samples: Some(self),
            latents: Some(&self.gan),
            features: Some(self),
            classes: Some(self),
            ..Provides::default()
        }
    }

    fn surface(&self, players: &[Player], points: &Tensor) -> Option<(Vec<Vec<f32>>, bool)> {
        self.gan.surface(players, points)
    }

    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        vec![mistakes(self, players, request)]
    }
}

impl Examine for SemiSupervised {
    fn features(&self, players: &[Player], x: &Array, every: bool) -> Vec<Option<Array>> {
        features(&players[DISCRIMINATOR], x, every, self.device)
    }
}

impl Generate for SemiSupervised {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        self.gan.generate(players, request)
    }
}

impl Classify for SemiSupervised {
    fn classify(&self, players: &[Player], x: &Array, averaged: bool) -> Vec<Array> {
        let mut answers = asked(players[DISCRIMINATOR].runs(), x, self.device, |x, mode| {
            let said = players[DISCRIMINATOR].forward_averaged(averaged, x, None, mode);
            said.class_logits.expect("`wirings` asks for a sum of classes")
        });
        log_probabilities(&mut answers);
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataRoots, DataSpec};
    use std::collections::BTreeSet;

    fn ring() -> Box<dyn Source> {
        let data: DataSpec = toml::from_str("[ring]\nmodes = 3").expect("a source");
        data.open(&DataRoots::default()).expect("a law")
    }

    fn shapes(count: u32) -> Arc<dyn Source> {
        let data: DataSpec = toml::from_str(&format!("[shapes]\nsize = 8\ncount = {count}")).expect("a source");
        data.open(&DataRoots::default()).expect("it draws").into()
    }

    #[test]
    fn each_class_has_as_many_labels_as_were_asked_for_and_each_seed_its_own() {
        let source = shapes(400);
        let known = |seed| labeled_examples(&*source, seed, 5).expect("there are enough");
        let first = known(1);
        assert_eq!((first.x.rows(), first.labels.len()), (50, 50));
        assert!((0..10).all(|class| first.labels.iter().filter(|&&label| label == class).count() == 5));
        let rows = |known: &Examples| -> BTreeSet<Vec<u32>> {
            (0..known.x.rows()).map(|i| known.x.row(i).iter().map(|v| v.to_bits()).collect()).collect()
        };
        assert_eq!(rows(&first).len(), 50, "no example is labeled twice");
        assert_eq!(known(1), first);
        assert!(rows(&known(2)).intersection(&rows(&first)).count() < 25);
        // A law has no end.
        assert_eq!(labeled_examples(&*ring(), 1, 40).expect("a law").labels.len(), 120);
    }

    #[test]
    fn too_few_examples_of_a_class_are_named() {
        let error = labeled_examples(&*shapes(60), 1, 12).expect_err("60 of ten classes");
        assert!(error.starts_with("`labels-per-class` is 12, and there are "), "{error}");
    }

    /* torch 2.11, float64, with lse = torch.logsumexp(·, 1) and sp = softplus, as in the official code:
    l = tensor([[1.,2.,-1.],[.5,.1,.2]]); u = tensor([[.3,-.2,.9],[2.,0.,-3.]]); g = tensor([[-1.,-.5,.2],[.4,.4,-2.]])
    -.5*lse(u).mean() + .5*sp(lse(u)).mean() + .5*sp(lse(g)).mean() = 0.7212645733032215; lse(l) = [2.349012216768186, 1.3800989458406057] */
    #[test]
    fn half_the_game_over_sums_of_classes_is_the_papers_unlabeled_loss() {
        let logits = |values: [f32; 6]| Tensor::from_slice(&values).view([1, 2, 3]);
        let sum = |logits: Tensor| crate::nn::forward::log_sum(&logits);
        let of = |d: &Tensor, i: i64| d.double_value(&[0, i]);
        let known = sum(logits([1.0, 2.0, -1.0, 0.5, 0.1, 0.2]));
        assert!((of(&known, 0) - 2.349_012_217).abs() < 1e-6 && (of(&known, 1) - 1.380_098_946).abs() < 1e-6);
        let real = sum(logits([0.3, -0.2, 0.9, 2.0, 0.0, -3.0]));
        let fake = sum(logits([-1.0, -0.5, 0.2, 0.4, 0.4, -2.0]));
        let game = loss::AdversarialSpec::NonSaturating.discriminator(&real, &fake, None) * 0.5;
        assert!((game.double_value(&[0]) - 0.721_264_573).abs() < 1e-6);
        // A logit far above the others, and all far below 0, leave the sum finite.
        assert!((of(&sum(logits([1e4, 0.0, 0.0, -1e4, -1e4, -1e4])), 0) - 1e4).abs() < 1.0);
    }
}
