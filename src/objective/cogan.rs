//! Coupled GANs (arXiv:1606.07536): two domains, a generator and a discriminator for each, and layers that both of a kind
//! share. No pair is ever seen; what is shared couples the domains, so that one latent becomes the same thing in both.
//!
//! The second domain is made of the data: half of each batch is of the first domain as it is, the other half becomes the
//! second, so that both see the same law and never the same example at once. A pair of networks is one player whose network has a twin
//! ([`NetworkPlan::twin_of`]); the game of each domain is that of [`super::gan`], and a loss is the sum of both.

use super::family::{Family, Surroundings, about_critic, check_average};
use super::gan::{ConditionKind, DISCRIMINATOR, GENERATOR, GanSpec, check_judged, check_targets};
use super::latent::LatentSpec;
use super::{
    Batch, Cadence, Classify, ClassifySecond, Couple, Cx, Examine, Gan, Generate, Objective, Pairs, Panel,
    PanelRequest, Product, Provides, RealDraw, Request, Turn, asked, column, features, log_probabilities, made_by,
};
use crate::base::{Array, Each, NonNegative, Positive, Problem, host};
use crate::data::{DataInfo, Examples, Source, Truth};
use crate::loss::{self, LossSpec};
use crate::nn::plan::{Head, NetworkPlan, SharedLayers, Wiring};
use crate::player::{EmaSpec, Player};
use crate::rng::Purpose;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A generator and a discriminator for each of two domains, which share layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CoganSpec {
    /// What both generators are fed, the same numbers.
    pub latent: LatentSpec,
    /// What the data become in the second domain.
    pub second: DomainSpec,
    /// Which layers the networks of both domains have in common.
    pub share: ShareSpec,
    /// Learns the classes of the first domain beside the game, to name those of the second without a label of it (section 4 of
    /// the paper).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptation: Option<Each<AdaptationSpec>>,
    /// Averaged weights of the generators, used for samples and evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}

/// Classes of the first domain, named by a layer on what enters the discriminators' last one, which both domains share with it.
/// The weights are those of the authors' code for PyTorch; their code for Caffe has 0.5 for the classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AdaptationSpec {
    /// The factor on the cross-entropy of labels in the discriminators' loss.
    pub class_weight: NonNegative,
    /// The factor on the mean squared distance between what enters the last layer for both samples of a latent, in the
    /// discriminators' loss.
    pub tie_weight: NonNegative,
    /// The factor on the game; at 0 only the labels teach, which is what adaptation is held against.
    pub game_weight: NonNegative,
}
impl Default for AdaptationSpec {
    fn default() -> Self {
        let of = NonNegative::of;
        Self { class_weight: of(10.0), tie_weight: of(0.01), game_weight: of(1.0) }
    }
}

/// How many layers are shared, of those with weights (linear, convolutions, maxout, residual blocks; a norm goes with the one
/// before it). Others have the same shape in both domains, begin at the same numbers and learn apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ShareSpec {
    /// The generator's first so many: all but the last in the paper.
    pub generator: u32,
    /// The discriminator's last so many: all but the first in the paper.
    pub discriminator: u32,
}

/// What becomes of examples in the second domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum DomainSpec {
    /// Points of the plane, turned about the origin, scaled and moved.
    Turned(TurnSpec),
    /// Images with black and white exchanged.
    Negative,
    /// What a dilation by a pixel adds to an image (3×3, the paper's edges).
    Edges,
}

/// scale·R(degrees)·x + shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TurnSpec {
    /// The angle, counterclockwise.
    pub degrees: f64,
    /// The factor.
    #[serde(default = "TurnSpec::scale")]
    pub scale: Positive,
    /// What is added.
    #[serde(default)]
    pub shift: [f64; 2],
}
impl TurnSpec {
    fn scale() -> Positive {
        Positive::of(1.0)
    }
}

impl DomainSpec {
    /// Examples `[R, n, …]` of the first domain in the second.
    fn of(&self, x: &Tensor, range: Option<(f32, f32)>) -> Tensor {
        let (low, high) = range.map_or((0.0, 1.0), |(low, high)| (f64::from(low), f64::from(high)));
        match self {
            Self::Turned(turn) => {
                let (sin, cos) = turn.degrees.to_radians().sin_cos();
                let [across, up] = [0, 1].map(|place| x.narrow(2, place, 1) * turn.scale.get());
                let [right, above] = turn.shift;
                Tensor::cat(&[&across * cos - &up * sin + right, &across * sin + &up * cos + above], 2)
            }
            Self::Negative => -x + (low + high),
            Self::Edges => {
                let images = x.flatten(0, 1);
                let widest = images.max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false);
                (widest - images + low).view_as(x)
            }
        }
    }

    fn takes(&self, info: &DataInfo) -> bool {
        match self {
            Self::Turned(_) => info.shape == [2],
            Self::Negative | Self::Edges => info.is_image() && info.range.is_some(),
        }
    }
}

impl CoganSpec {
    fn plain(&self) -> GanSpec {
        GanSpec { latent: self.latent.clone(), condition: ConditionKind::None, report_slope: false, ema: None }
    }
}

impl Family for CoganSpec {
    fn tag(&self) -> &'static str {
        "cogan"
    }

    fn players(&self) -> &'static [&'static str] {
        &["generator", "discriminator"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        if !self.second.takes(info) {
            let (tag, wants) = match self.second {
                DomainSpec::Turned(_) => ("turned", "points of the plane"),
                DomainSpec::Negative => ("negative", "images"),
                DomainSpec::Edges => ("edges", "images"),
            };
            let message = format!("`{tag}` is for {wants}, and these examples are of shape {:?}", info.shape);
            return Err(Problem::at("algorithm.cogan.second", message));
        }
        let mut wirings = self.plain().wirings(info)?;
        if self.adaptation.is_some() {
            if info.classes < 2 {
                let message = "the data has no classes that could be named in another domain";
                return Err(Problem::at("algorithm.cogan.adaptation", message)
                    .with_help("take data with labels of two or more classes, or remove `adaptation`"));
            }
            (wirings[DISCRIMINATOR].classes, wirings[DISCRIMINATOR].head) = (info.classes, Head::Classifier);
        }
        Ok(wirings)
    }

    fn complete(&self, player: &str, plan: &mut NetworkPlan) -> Result<(), Problem> {
        let count = match player {
            "generator" => self.share.generator,
            _ => self.share.discriminator,
        };
        let shared = match player {
            "generator" => SharedLayers::First(count as usize),
            _ => SharedLayers::Last(count as usize),
        };
        plan.twin_of(shared).map_err(|there| {
            let message = format!("it shares {count} layers, and the {player} has {there} with weights");
            Problem::at(format!("algorithm.cogan.share.{player}"), message)
                .with_help("at least one of them must differ, or both domains are one")
        })
    }

    fn products(&self) -> &'static [Product] {
        use Product::{Classes, Features, Latents, Pairs, Samples, SecondClasses};
        match self.adaptation {
            None => &[Samples, Latents, Features, Pairs],
            Some(_) => &[Samples, Latents, Features, Pairs, Classes, SecondClasses],
        }
    }

    fn is_game(&self) -> bool {
        true
    }

    fn critics(&self) -> &'static [&'static str] {
        &["discriminator"]
    }

    fn average(&self) -> Option<(&'static [&'static str], &EmaSpec)> {
        Some(&["generator"][..]).zip(self.ema.as_ref())
    }

    fn about(&self, player: &str, info: &DataInfo) -> Vec<(&'static str, String)> {
        let mut facts = match player {
            "discriminator" => about_critic(info, &[1]),
            _ => self.plain().about(player, info),
        };
        facts.push(("domain", "the first of two".to_owned()));
        facts
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        let mut wrong = self.latent.check("algorithm.cogan.latent");
        wrong.extend(check_average("algorithm.cogan.ema", self.ema.as_ref(), around.steps));
        wrong.extend(around.loss.iter().flat_map(|loss| check_targets(loss)));
        if let Some(batch) = around.batch.filter(|batch| batch % 2 == 1) {
            let message = format!("half of each batch is of each domain, and {batch} is odd");
            wrong.push(Problem::at("schedule.batch", message));
        }
        wrong
    }

    fn check_networks(&self, networks: &[&NetworkPlan], info: &DataInfo, around: Surroundings<'_>) -> Vec<Problem> {
        check_judged(networks[DISCRIMINATOR], info, around)
    }
}

/// The objective for the runs of a pack, which may differ in the weights of its terms.
pub struct Cogan {
    gan: Gan,
    adaptation: Option<Adaptation>,
    latent: LatentSpec,
    second: DomainSpec,
    range: Option<(f32, f32)>,
    /// The centers of each run's mixture, in the second domain.
    centers: Vec<Option<Array>>,
    is_image: bool,
    device: Device,
}

/// The factors of [`AdaptationSpec`] a run, `[R]`.
struct Adaptation {
    class: Tensor,
    tie: Tensor,
    game: Tensor,
}

/// The mean over examples of ‖a − b‖² of features `[R, B, F]`: `[R]`.
fn tied(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).square().sum_dim_intlist(-1i64, false, Kind::Float).mean_dim(1i64, false, Kind::Float)
}

/// Pairs that a picture shows beside each other.
const SHOWN: usize = 16;

impl Cogan {
    /// The objective of a pack; `specs`, `losses` and `sources` have one entry per run, all of one shape.
    pub fn new(specs: &[&CoganSpec], losses: &[&LossSpec], sources: &[Arc<dyn Source>], device: Device) -> Self {
        let (spec, info) = (specs[0], sources[0].info());
        let centers = |source: &Arc<dyn Source>| {
            let Truth::Modes { centers, .. } = &source.info().truth else { return None };
            let all: Vec<f32> = centers.iter().flatten().map(|&v| v as f32).collect();
            let first = Tensor::from_slice(&all).view([1, centers.len() as i64, -1]);
            Some(Array::new(vec![centers.len(), 2], host::numbers(&spec.second.of(&first, info.range))))
        };
        Self {
            gan: Gan::new(&spec.plain(), losses, info, device),
            adaptation: spec.adaptation.as_ref().map(|_| {
                let weight = |of: fn(&AdaptationSpec) -> NonNegative| {
                    column(specs.iter().filter_map(|spec| Some(of(spec.adaptation.as_ref()?.own()).get())), device)
                };
                Adaptation {
                    class: weight(|spec| spec.class_weight),
                    tie: weight(|spec| spec.tie_weight),
                    game: weight(|spec| spec.game_weight),
                }
            }),
            latent: spec.latent.clone(),
            second: spec.second.clone(),
            range: info.range,
            centers: sources.iter().map(centers).collect(),
            is_image: info.is_image(),
            device,
        }
    }

    /// The log-probability of every class, as the discriminator of one of the domains says it.
    fn named(&self, players: &[Player], x: &Array, twin: bool) -> Vec<Array> {
        let mut answers = asked(players[DISCRIMINATOR].runs(), x, self.device, |x, mode| {
            mode.twin = twin;
            let said = players[DISCRIMINATOR].forward(false, x, None, mode);
            said.class_logits.expect("`wirings` asks for classes")
        });
        log_probabilities(&mut answers);
        answers
    }

    /// Examples of the first domain in the second, on the host.
    fn there(&self, x: &Array) -> Array {
        let shape: Vec<i64> = [1].into_iter().chain(x.shape.iter().map(|&n| n as i64)).collect();
        let there = self.second.of(&host::tensor(&x.data, &shape, Device::Cpu), self.range);
        Array::new(x.shape.clone(), host::numbers(&there))
    }

    /// What the second generator makes of the latents that the samples of this request are made from.
    fn second_samples(&self, players: &[Player], request: &Request<'_>) -> Vec<Array> {
        let _guard = tch::no_grad_guard();
        let z = self.latent.draw(&mut request.streams(request.purpose), request.n, self.device);
        made_by(true, &players[GENERATOR], request, &z, &[])
    }
}

impl Objective for Cogan {
    fn turns(&self) -> &'static [Turn] {
        &[
            Turn { moves: &[DISCRIMINATOR], cadence: Cadence::Critic, real: RealDraw::Fresh },
            Turn { moves: &[GENERATOR], cadence: Cadence::Generator, real: RealDraw::Last },
        ]
    }

    fn loss(&mut self, turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let (half, labels) = (batch.x.size()[1] / 2, batch.labels.as_ref());
        let first = batch.x.narrow(1, 0, half);
        let second = self.second.of(&batch.x.narrow(1, half, half), self.range);
        let mut noise = cx.noise();
        let z = self.latent.draw(&mut cx.streams(Purpose::Latent), half as usize, cx.device);
        let recording = cx.recording;
        let (mut total, mut features) = (None::<Tensor>, Vec::new());
        let add = |total: &mut Option<Tensor>, term: Tensor| {
            *total = Some(total.take().map_or_else(|| term.shallow_clone(), |sum| sum + &term));
        };
        for (twin, x) in [(false, first), (true, second)] {
            // What is reported of real and fake examples is of the first domain.
            (cx.twin, cx.recording) = (twin, recording && !twin);
            let fake = cx.forward(GENERATOR, &z, None, &mut noise).out;
            let batch = Batch { x, labels: None };
            let loss = if turn == 0 {
                let (game, [on_real, on_fake]) = self.gan.discriminator_game(&batch, &fake, None, cx, &mut noise);
                if let (false, Some(weights), Some(logits), Some(labels)) =
                    (twin, &self.adaptation, &on_real.class_logits, labels)
                {
                    let class = loss::cross_entropy(logits, &labels.narrow(1, 0, half));
                    cx.record("d/class", || class.shallow_clone());
                    add(&mut total, class * &weights.class);
                }
                features.extend(on_fake.features);
                game
            } else {
                let judged = self.gan.judge(&fake, None, cx, &mut noise);
                self.gan.generator_game(&batch, &judged, cx, &mut noise)
            };
            add(
                &mut total,
                self.adaptation.as_ref().map_or_else(|| loss.shallow_clone(), |weights| &loss * &weights.game),
            );
        }
        (cx.twin, cx.recording) = (false, recording);
        if let (Some(weights), [first, second]) = (&self.adaptation, features.as_slice()) {
            let apart = tied(first, second);
            cx.record("d/tie", || apart.shallow_clone());
            add(&mut total, apart * &weights.tie);
        }
        let total = total.expect("there are two domains");
        cx.record(if turn == 0 { "d/loss" } else { "g/loss" }, || total.shallow_clone());
        total
    }

    fn scalars(&self) -> Vec<&'static str> {
        let mut names = self.gan.scalars();
        if self.adaptation.is_some() {
            names.extend(["d/class", "d/tie"]);
        }
        names
    }

    fn provides(&self) -> Provides<'_> {
        let adapted = self.adaptation.as_ref().map(|_| self);
        Provides {
            samples: Some(self),
            latents: Some(&self.gan),
            features: Some(self),
            pairs: Some(self),
            classes: adapted.map(|own| own as &dyn Classify),
            second_classes: adapted.map(|own| own as &dyn ClassifySecond),
            ..Provides::default()
        }
    }

    fn surface(&self, players: &[Player], points: &Tensor) -> Option<(Vec<Vec<f32>>, bool)> {
        self.gan.surface(players, points)
    }

    /// Pairs of images, one under the other; of points those of the second domain, over its data.
    fn panels(&self, players: &[Player], request: &PanelRequest<'_>) -> Vec<Panel> {
        let n = if self.is_image { SHOWN.min(request.n) } else { request.n };
        let real = request.real;
        let request = request.samples(n);
        let second = self.second_samples(players, &request);
        if !self.is_image {
            let over = real.iter().map(|real| self.there(&real.x)).collect();
            return vec![Panel { name: "second", runs: second, over: Some(over), ..Panel::default() }];
        }
        let first = self.gan.generate(players, &request);
        let both = |(first, second): (Examples, Array)| {
            let shape = [&[2 * n], &second.shape[1..]].concat();
            Array::new(shape, [first.x.data, second.data].concat())
        };
        vec![Panel {
            name: "pairs",
            runs: first.into_iter().zip(second).map(both).collect(),
            per_row: Some(n),
            ..Panel::default()
        }]
    }
}

impl Examine for Cogan {
    fn features(&self, players: &[Player], x: &Array, every: bool) -> Vec<Option<Array>> {
        features(&players[DISCRIMINATOR], x, every, self.device)
    }
}

impl Generate for Cogan {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        self.gan.generate(players, request)
    }
}

impl Couple for Cogan {
    fn pairs(&self, players: &[Player], request: &Request<'_>, first: &[&Array]) -> Vec<Pairs> {
        let second = self.second_samples(players, request);
        let of_run = |((first, second), centers): ((&&Array, Array), &Option<Array>)| Pairs {
            second,
            expected: self.there(first),
            centers: centers.clone(),
        };
        first.iter().zip(second).zip(&self.centers).map(of_run).collect()
    }
}

impl ClassifySecond for Cogan {
    fn classify_second(&self, players: &[Player], x: &Array) -> Vec<[Array; 2]> {
        let there = self.there(x);
        let [own, first] = [true, false].map(|twin| self.named(players, &there, twin));
        own.into_iter().zip(first).map(|(own, first)| [own, first]).collect()
    }
}

impl Classify for Cogan {
    fn classify(&self, players: &[Player], x: &Array, _: bool) -> Vec<Array> {
        self.named(players, x, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(toml: &str) -> DomainSpec {
        #[derive(Deserialize)]
        struct File {
            second: DomainSpec,
        }
        toml::from_str::<File>(&format!("second = {toml}")).expect("a domain").second
    }

    /* torch 2.11, float64: a = tensor([[1,2,-1],[.5,0,3.]]); b = tensor([[0,2,1],[.25,1,2.]]);
    (a - b).square().sum(1).mean() = 3.53125 */
    #[test]
    fn features_of_pairs_are_as_far_apart_as_pytorch_says_for_each_run() {
        let of = |v: [f32; 6]| Tensor::from_slice(&v).view([1, 2, 3]).repeat([2, 1, 1]);
        let (a, b) = (of([1.0, 2.0, -1.0, 0.5, 0.0, 3.0]), of([0.0, 2.0, 1.0, 0.25, 1.0, 2.0]));
        assert_eq!(numbers(&tied(&a, &b)), [3.53125; 2]);
    }

    fn numbers(x: &Tensor) -> Vec<f32> {
        Vec::try_from(x.contiguous().view([-1])).expect("numbers")
    }

    /* numpy 2.4: t = np.radians(40); R = [[cos t, -sin t], [sin t, cos t]]
    .8 * (np.array([[1., 2.], [-.5, .25]]) @ R.T) + [.3, -.2] */
    #[test]
    fn points_are_turned_scaled_and_moved_as_numpy_does() {
        let x = Tensor::from_slice(&[1.0f32, 2.0, -0.5, 0.25]).view([1, 2, 2]);
        let found = numbers(&second("{ turned = { degrees = 40, scale = 0.8, shift = [0.3, -0.2] } }").of(&x, None));
        for (a, b) in found.iter().zip([-0.115_624_6, 1.539_901_2, -0.134_975_3, -0.303_906_2]) {
            assert!((a - b).abs() < 1e-6, "{found:?}");
        }
    }

    /* scipy 1.17: x = np.array([[-1,-1,-1,-1],[-1,.5,-1,-1],[-1,-1,-1,1]]);
    scipy.ndimage.grey_dilation(x, (3, 3)) - x - 1 */
    #[test]
    fn edges_are_what_scipys_dilation_adds_and_negatives_lie_in_the_range() {
        let x = [-1.0f32, -1.0, -1.0, -1.0, -1.0, 0.5, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0];
        let images = Tensor::from_slice(&x).view([1, 1, 1, 3, 4]);
        let range = Some((-1.0, 1.0));
        let edges = [0.5, 0.5, 0.5, -1.0, 0.5, -1.0, 1.0, 1.0, 0.5, 0.5, 1.0, -1.0];
        assert_eq!(numbers(&second("\"edges\"").of(&images, range)), edges);
        assert_eq!(numbers(&second("\"negative\"").of(&images, range)), x.map(|v| -v));
    }
}
