//! A generator against a discriminator: every game of `crate::loss`, with or without labels.
//!
//! Papers: arXiv:1406.2661 (GAN), 1411.1784 (conditional), 1610.09585 (auxiliary classifier), 1802.05637 (projection),
//! 1701.07875 and 1704.00028 (Wasserstein), 1606.03498 (smoothing, feature matching), 2006.10738 (augmentation).

use super::family::{Family, ReferenceKind, Surroundings, about_critic, check_average, floats};
use super::latent::LatentSpec;
use super::{
    Batch, Cadence, Cx, Decode, Examine, Generate, HostNoise, Latents, Manner, Objective, Product, Provides, RealDraw,
    Request, Turn, column, decoded_by, features, labeled, made, round,
};
use crate::base::{Array, Problem, host};
use crate::data::{DataInfo, Examples};
use crate::loss::{self, AdversarialSpec, At, AugmentKind, LossSpec, Meaning, PenaltySpec};
use crate::nn::plan::{Head, NetworkPlan, Role, Wiring};
use crate::nn::{Mode, Noise as _, Output};
use crate::player::{EmaSpec, Player};
use crate::rng::{Purpose, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// A generator against a discriminator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GanSpec {
    /// What the generator is fed.
    pub latent: LatentSpec,
    /// How the players learn of the label.
    #[serde(default)]
    pub condition: ConditionKind,
    /// Reports in `metrics.csv` as `d/slope` the mean slope on fakes of what the discriminator answers: D = σ(d) where
    /// that is a probability, else d. It tells a saturated discriminator.
    #[serde(default)]
    pub report_slope: bool,
    /// Averaged weights of the generator, used for samples and evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<EmaSpec>,
}

/// How the players learn of the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionKind {
    /// Not at all.
    #[default]
    None,
    /// Appended to the input of both, or where a `label` layer stands (arXiv:1411.1784).
    Concatenate,
    /// The discriminator also names the class (arXiv:1610.09585); the generator gets the label as with `concatenate`.
    AuxiliaryClassifier,
    /// d(x, y) = ψ(h) + ⟨V_y, h⟩ (arXiv:1802.05637); the generator gets the label as with `concatenate`.
    Projection,
}

impl GanSpec {
    /// How a generator and its discriminator are wired; a problem is at a key of these settings.
    pub(super) fn pair(&self, info: &DataInfo) -> Result<[Wiring; 2], Problem> {
        let labeled = self.condition != ConditionKind::None;
        if labeled && info.classes == 0 {
            return Err(Problem::at("condition", "the data has no labels to condition on")
                .with_help("take data with classes, or remove `condition`"));
        }
        let classes = if labeled { info.classes } else { 0 };
        let head = match self.condition {
            ConditionKind::None | ConditionKind::Concatenate => Head::Plain,
            ConditionKind::AuxiliaryClassifier => Head::Classifier,
            ConditionKind::Projection => Head::Projection,
        };
        let generator = Wiring {
            role: Role::Generator,
            input: vec![self.latent.dim() as usize],
            output: info.shape.clone(),
            classes,
            labels_at_input: labeled,
            head: Head::Plain,
        };
        let discriminator = Wiring {
            role: Role::Discriminator,
            input: info.shape.clone(),
            output: vec![1],
            classes,
            labels_at_input: self.condition == ConditionKind::Concatenate,
            head,
        };
        Ok([generator, discriminator])
    }
}

impl Family for GanSpec {
    fn tag(&self) -> &'static str {
        "gan"
    }

    fn players(&self) -> &'static [&'static str] {
        &["generator", "discriminator"]
    }

    fn wirings(&self, info: &DataInfo) -> Result<Vec<Wiring>, Problem> {
        self.pair(info).map(Vec::from).map_err(|problem| problem.below("algorithm.gan"))
    }

    fn reference(&self, player: &str) -> Option<ReferenceKind<'_>> {
        Some(match player {
            "generator" => ReferenceKind::Latent(&self.latent),
            _ => ReferenceKind::Data,
        })
    }

    fn products(&self) -> &'static [Product] {
        match self.condition {
            ConditionKind::Concatenate => &[Product::Samples, Product::Latents],
            _ => &[Product::Samples, Product::Latents, Product::Features],
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
        if player == "discriminator" {
            return about_critic(info, &[1]);
        }
        let latent = serde_json::to_string(&self.latent).expect("a spec is made of numbers, texts, lists and tables");
        let mut facts =
            vec![("input", floats(&[self.latent.dim() as usize])), ("latent", latent), ("output", floats(&info.shape))];
        facts.extend(info.range.map(|(low, high)| ("range", format!("{low} to {high}"))));
        if self.condition != ConditionKind::None {
            facts.push(("labels", format!("int64 [n], from 0 to {}", info.classes.saturating_sub(1))));
        }
        facts
    }

    fn check(&self, around: Surroundings<'_>) -> Vec<Problem> {
        let mut wrong = self.latent.check("algorithm.gan.latent");
        wrong.extend(check_average("algorithm.gan.ema", self.ema.as_ref(), around.steps));
        wrong.extend(around.loss.iter().flat_map(|loss| check_targets(loss)));
        wrong
    }

    fn check_networks(&self, networks: &[&NetworkPlan], info: &DataInfo, around: Surroundings<'_>) -> Vec<Problem> {
        check_judged(networks[DISCRIMINATOR], info, around)
    }
}

/// What a game's targets and changes contradict.
pub(super) fn check_targets(loss: &LossSpec) -> Vec<Problem> {
    let mut wrong = Vec::new();
    let takes_targets = loss.adversarial.meaning() == Meaning::Probability;
    let target = loss.label_smoothing.own().get();
    if !takes_targets && target < 1.0 {
        let message = "label smoothing needs a loss with labels: `vanilla` or `non-saturating`";
        wrong.push(
            Problem::at("loss.label-smoothing", message)
                .with_help("least squares has its targets in `least-squares.real`"),
        );
    }
    if target <= 0.0 {
        wrong.push(Problem::at("loss.label-smoothing", "the target of real examples is 0, as that of fakes"));
    }
    for (i, change) in loss.augment.iter().enumerate() {
        if loss.augment[..i].contains(change) {
            wrong.push(Problem::at(format!("loss.augment.{i}"), "this change is there twice"));
        }
    }
    wrong
}

/// What the terms of the loss contradict of the discriminator and the examples that it sees.
pub(super) fn check_judged(discriminator: &NetworkPlan, info: &DataInfo, around: Surroundings<'_>) -> Vec<Problem> {
    let Some(loss) = around.loss else { return vec![] };
    let mut wrong = Vec::new();
    if !loss.penalties.is_empty() && discriminator.batch_coupled {
        let message = "a penalty needs each example's own gradient, and the discriminator looks at the whole batch";
        wrong.push(
            Problem::at("loss.penalties", message).with_help(
                "replace its batch norm by `layer` norm, or remove the penalty (arXiv:1704.00028, section 4)",
            ),
        );
    }
    if !loss.augment.is_empty() && !info.is_image() {
        let message = format!("it changes images, and these examples are of shape {:?}", info.shape);
        wrong.push(Problem::at("loss.augment", message).with_help("take it out, or take data of images"));
    }
    wrong
}

/// The generator's place among the players.
pub const GENERATOR: usize = 0;
/// The discriminator's place among the players.
pub const DISCRIMINATOR: usize = 1;

/// Points at which the discriminator is asked in one batch.
const ASKED_TOGETHER: i64 = 128;

/// The adversarial objective for the runs of a pack, which may differ in the weights of its terms.
pub struct Gan {
    /// The place of who judges among the players.
    judge: usize,
    latent: LatentSpec,
    report_slope: bool,
    adversarial: AdversarialSpec,
    penalties: Vec<Penalty>,
    augment: Vec<AugmentKind>,
    /// Targets for real examples, `[R, 1]`.
    smoothing: Option<Tensor>,
    features: Option<Tensor>,
    auxiliary: Option<Auxiliary>,
    /// 0 where labels play no part.
    classes: usize,
    /// Whether the layers of the discriminator do without labels.
    examines_unlabeled: bool,
    device: Device,
}

/// A penalty with its weight a run, `[R]`.
struct Penalty {
    spec: PenaltySpec,
    weight: Tensor,
}

/// Weights a run of the classification losses, `[R]` each.
struct Auxiliary {
    real: Tensor,
    fake: Option<Tensor>,
    generator: Tensor,
}

impl Gan {
    /// The objective of a pack; `losses` has one entry a run, all of one shape.
    pub fn new(spec: &GanSpec, losses: &[&LossSpec], info: &DataInfo, device: Device) -> Self {
        let column = |f: &dyn Fn(&LossSpec) -> f64| column(losses.iter().map(|loss| f(loss)), device);
        let first = losses[0];
        let penalties = first.penalties.iter().enumerate();
        let penalties =
            penalties.map(|(i, spec)| Penalty { spec: spec.clone(), weight: column(&|l| l.penalties[i].weight()) });
        let auxiliary = (spec.condition == ConditionKind::AuxiliaryClassifier).then(|| Auxiliary {
            real: column(&|l| l.auxiliary.own().real.get()),
            fake: losses
                .iter()
                .any(|l| l.auxiliary.own().fake.get() > 0.0)
                .then(|| column(&|l| l.auxiliary.own().fake.get())),
            generator: column(&|l| l.auxiliary.own().generator.get()),
        });
        Self {
            judge: DISCRIMINATOR,
            latent: spec.latent.clone(),
            report_slope: spec.report_slope,
            adversarial: first.adversarial.clone(),
            penalties: penalties.collect(),
            augment: first.augment.clone(),
            smoothing: losses
                .iter()
                .any(|l| l.label_smoothing.own().get() < 1.0)
                .then(|| column(&|l| l.label_smoothing.own().get()).unsqueeze(1)),
            features: first
                .feature_matching
                .as_ref()
                .map(|_| column(&|l| l.feature_matching.as_ref().map_or(0.0, |w| w.own().weight.get()))),
            auxiliary,
            classes: if spec.condition == ConditionKind::None { 0 } else { info.classes },
            examines_unlabeled: spec.condition != ConditionKind::Concatenate,
            device,
        }
    }

    /// The same game with another judge.
    pub(super) fn judged_by(self, judge: usize) -> Self {
        Self { judge, ..self }
    }

    /// Labels drawn evenly, `[R, B]`, where labels play a part.
    fn draw_labels(&self, streams: &mut [Stream], n: usize) -> Option<Tensor> {
        let classes = u32::try_from(self.classes).ok().filter(|&c| c > 0)?;
        let labels: Vec<i64> =
            streams.iter_mut().flat_map(|s| (0..n).map(|_| i64::from(s.below(classes))).collect::<Vec<_>>()).collect();
        Some(Tensor::from_slice(&labels).view([streams.len() as i64, n as i64]).to_device(self.device))
    }

    pub(super) fn discriminator_loss(&self, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let n = batch.x.size()[1];
        let labels = if self.classes > 0 { batch.labels.as_ref() } else { None };
        let mut noise = cx.noise();
        let z = self.latent.draw(&mut cx.streams(Purpose::Latent), n as usize, cx.device);
        let fake = cx.forward(GENERATOR, &z, labels, &mut noise).out;
        self.discriminator_loss_on(batch, &fake, labels, cx, &mut noise)
    }

    /// The whole loss of the discriminator where these are the fakes.
    pub(super) fn discriminator_loss_on(
        &self,
        batch: &Batch,
        fake: &Tensor,
        labels: Option<&Tensor>,
        cx: &mut Cx<'_>,
        noise: &mut HostNoise,
    ) -> Tensor {
        let (mut total, [real, fake]) = self.discriminator_game(batch, fake, labels, cx, noise);
        if let (Some(weights), Some(on_real), Some(on_fake), Some(labels)) =
            (&self.auxiliary, real.class_logits, fake.class_logits, labels)
        {
            let mut class = loss::cross_entropy(&on_real, labels) * &weights.real;
            if let Some(weight) = &weights.fake {
                class = class + loss::cross_entropy(&on_fake, labels) * weight;
            }
            cx.record("d/class", || class.shallow_clone());
            total = total + class;
        }
        cx.record("d/loss", || total.shallow_clone());
        total
    }

    /// What the discriminator says of examples, which it sees as `loss.augment` says.
    pub(super) fn judge(&self, x: &Tensor, labels: Option<&Tensor>, cx: &Cx<'_>, noise: &mut HostNoise) -> Output {
        self.judge_in(Manner { parts: 1, slopes: false }, x, labels, cx, noise)
    }

    /// As [`Self::judge`], in a manner of its own; slopes are those of what it says by the examples as they are.
    fn judge_in(
        &self,
        manner: Manner,
        x: &Tensor,
        labels: Option<&Tensor>,
        cx: &Cx<'_>,
        noise: &mut HostNoise,
    ) -> Output {
        let seen = loss::augmented(&self.augment, x, |shape| noise.uniform(shape));
        cx.forward_in(manner, self.judge, &seen, labels, noise)
    }

    /// The discriminator's loss by the game and its penalties, and what it says of real and of fake examples.
    pub(super) fn discriminator_game(
        &self,
        batch: &Batch,
        fake: &Tensor,
        labels: Option<&Tensor>,
        cx: &mut Cx<'_>,
        noise: &mut HostNoise,
    ) -> (Tensor, [Output; 2]) {
        let n = batch.x.size()[1];
        // Whether a penalty takes the slope at real examples, and at fakes.
        let [on_real, on_fake] = [At::Real, At::Fake].map(|at| self.penalties.iter().any(|p| p.spec.at() == at));
        let watched =
            |x: &Tensor, wanted: bool| if wanted { x.detach().set_requires_grad(true) } else { x.shallow_clone() };
        let (real, fake) = (watched(&batch.x, on_real), watched(fake, on_fake));
        // One pass over both halves, unless only one of them needs its slope, which is then cheaper alone.
        let together = on_real == on_fake;
        let said = if together {
            let x = Tensor::cat(&[&real, &fake], 1);
            let labels = labels.map(|l| Tensor::cat(&[l, l], 1));
            let manner = Manner { parts: 2, slopes: on_real };
            let both = self.judge_in(manner, &x, labels.as_ref(), cx, noise);
            [0, 1].map(|i| {
                let half = |t: &Tensor| t.narrow(1, i * n, n);
                Output {
                    out: half(&both.out),
                    features: both.features.as_ref().map(half),
                    class_logits: both.class_logits.as_ref().map(half),
                    scale: None,
                }
            })
        } else {
            let mut answer =
                |x: &Tensor, slopes: bool| self.judge_in(Manner { parts: 1, slopes }, x, labels, cx, noise);
            [answer(&real, on_real), answer(&fake, on_fake)]
        };
        let [a, b] = [&said[0].out, &said[1].out];
        cx.record("d/real", || a.mean_dim(1i64, false, Kind::Float));
        cx.record("d/fake", || b.mean_dim(1i64, false, Kind::Float));
        if self.report_slope && cx.recording {
            let probability = self.adversarial.meaning() == Meaning::Probability;
            let answer = |d: Tensor| if probability { d.sigmoid() } else { d };
            let slope = self.slope_at(&fake, labels, answer, cx, &mut cx.noise()).sqrt();
            cx.record("d/slope", || slope.mean_dim(1i64, false, Kind::Float));
        }
        let mut total = self.adversarial.discriminator(a, b, self.smoothing.as_ref());

        let mut punished: Option<Tensor> = None;
        for penalty in &self.penalties {
            let squared = match penalty.spec.at() {
                At::Real => loss::squared_slope(a, &real),
                At::Fake => loss::squared_slope(b, &fake),
                At::Points => {
                    let mut own = HostNoise { streams: cx.streams(Purpose::Penalty), device: cx.device };
                    let x = penalty.spec.points(&batch.x, &fake, |shape| own.uniform(shape));
                    self.slope_at(&x, labels, |d| d, cx, noise)
                }
            };
            let value = penalty.spec.of_slopes(&squared) * &penalty.weight;
            punished = Some(punished.map_or_else(|| value.shallow_clone(), |sum| sum + &value));
        }
        if let Some(punished) = punished {
            cx.record("d/penalty", || punished.shallow_clone());
            total = total + punished;
        }
        (total, said)
    }

    pub(super) fn generator_loss(&self, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        let n = batch.x.size()[1] as usize;
        let mut noise = cx.noise();
        let mut streams = cx.streams(Purpose::Latent);
        let z = self.latent.draw(&mut streams, n, cx.device);
        let labels = self.draw_labels(&mut streams, n);
        let fake = cx.forward(GENERATOR, &z, labels.as_ref(), &mut noise).out;
        self.generator_loss_on(batch, &fake, labels.as_ref(), cx, &mut noise)
    }

    /// The whole loss of the generator that made these fakes.
    pub(super) fn generator_loss_on(
        &self,
        batch: &Batch,
        fake: &Tensor,
        labels: Option<&Tensor>,
        cx: &mut Cx<'_>,
        noise: &mut HostNoise,
    ) -> Tensor {
        let judged = self.judge(fake, labels, cx, noise);
        let mut total = self.generator_game(batch, &judged, cx, noise);
        if let (Some(weights), Some(logits), Some(labels)) = (&self.auxiliary, &judged.class_logits, labels) {
            let class = loss::cross_entropy(logits, labels) * &weights.generator;
            cx.record("g/class", || class.shallow_clone());
            total = total + class;
        }
        cx.record("g/loss", || total.shallow_clone());
        total
    }

    /// The generator's loss by the game and by matched features, given what the discriminator says of its examples.
    pub(super) fn generator_game(
        &self,
        batch: &Batch,
        judged: &Output,
        cx: &mut Cx<'_>,
        noise: &mut HostNoise,
    ) -> Tensor {
        let compares = self.adversarial.meaning() == Meaning::Difference;
        let real = (compares || self.features.is_some()).then(|| {
            let labels = if self.classes > 0 { batch.labels.as_ref() } else { None };
            self.judge(&batch.x, labels, cx, noise)
        });
        let mut total = self.adversarial.generator(real.as_ref().map(|r| &r.out), &judged.out);
        if let (Some(weight), Some(real), Some(fake)) =
            (&self.features, real.as_ref().and_then(|r| r.features.as_ref()), &judged.features)
        {
            let distance = loss::feature_distance(real, fake) * weight;
            cx.record("g/features", || distance.shallow_clone());
            total = total + distance;
        }
        total
    }

    /// ‖∇f(d)‖² at points of their own, `[R, B]`.
    fn slope_at(
        &self,
        x: &Tensor,
        labels: Option<&Tensor>,
        f: impl Fn(Tensor) -> Tensor,
        cx: &Cx<'_>,
        noise: &mut HostNoise,
    ) -> Tensor {
        let x = x.detach().set_requires_grad(true);
        let manner = Manner { parts: 1, slopes: true };
        loss::squared_slope(&f(self.judge_in(manner, &x, labels, cx, noise).out), &x)
    }
}

impl Objective for Gan {
    fn turns(&self) -> &'static [Turn] {
        &[
            Turn { moves: &[DISCRIMINATOR], cadence: Cadence::Critic, real: RealDraw::Fresh },
            Turn { moves: &[GENERATOR], cadence: Cadence::Generator, real: RealDraw::Last },
        ]
    }

    fn loss(&mut self, turn: usize, batch: &Batch, cx: &mut Cx<'_>) -> Tensor {
        match self.turns()[turn].moves {
            [DISCRIMINATOR] => self.discriminator_loss(batch, cx),
            _ => self.generator_loss(batch, cx),
        }
    }

    fn scalars(&self) -> Vec<&'static str> {
        let mut names = vec!["d/loss", "g/loss", "d/real", "d/fake"];
        if !self.penalties.is_empty() {
            names.push("d/penalty");
        }
        if self.report_slope {
            names.push("d/slope");
        }
        if self.auxiliary.is_some() {
            names.extend(["d/class", "g/class"]);
        }
        if self.features.is_some() {
            names.push("g/features");
        }
        names
    }

    fn provides(&self) -> Provides<'_> {
        Provides {
            samples: Some(self),
            latents: Some(self),
            features: self.examines_unlabeled.then_some(self),
            ..Provides::default()
        }
    }

    fn surface(&self, players: &[Player], points: &Tensor) -> Option<(Vec<Vec<f32>>, bool)> {
        let _guard = tch::no_grad_guard();
        let runs = players[DISCRIMINATOR].runs() as i64;
        let size = points.size();
        let (n, row) = (size[0], size[1..].iter().product::<i64>());
        // A discriminator that compares the examples of a batch is asked in batches that spread over all points.
        let pieces = (n / ASKED_TOGETHER).max(1);
        let probability = self.adversarial.meaning() == Meaning::Probability;
        let mut out = vec![vec![0.0; n as usize]; runs as usize];
        for piece in 0..pieces {
            let some = points.slice(0, piece, n, pieces);
            let len = some.size()[0];
            let x = some.reshape([1, len, row]).expand([runs, len, row], false).contiguous();
            let x = x.view(&[&[runs, len], &size[1..]].concat()[..]);
            let labels = (self.classes > 0).then(|| Tensor::zeros([runs, len], (Kind::Int64, self.device)));
            let mut noise = HostNoise { streams: vec![], device: self.device };
            let mode = &mut Mode::evaluation(&mut noise);
            let d = players[DISCRIMINATOR].forward(false, &x, labels.as_ref(), mode).out;
            let d = host::numbers(&if probability { d.sigmoid() } else { d });
            for (out, d) in out.iter_mut().zip(d.chunks_exact(len as usize)) {
                for (i, &value) in d.iter().enumerate() {
                    out[piece as usize + i * pieces as usize] = value;
                }
            }
        }
        Some((out, probability))
    }
}

impl Examine for Gan {
    fn features(&self, players: &[Player], x: &Array, every: bool) -> Vec<Option<Array>> {
        features(&players[DISCRIMINATOR], x, every, self.device)
    }
}

impl Generate for Gan {
    fn generate(&self, players: &[Player], request: &Request<'_>) -> Vec<Examples> {
        let _guard = tch::no_grad_guard();
        let Latents { z, labels } = self.latents(request);
        labeled(made(&players[GENERATOR], request, &z, &labels), &labels)
    }
}

impl Decode for Gan {
    fn law(&self) -> LatentSpec {
        self.latent.clone()
    }

    fn latents(&self, request: &Request<'_>) -> Latents {
        let z = self.latent.draw(&mut request.streams(request.purpose), request.n, self.device);
        Latents { z, labels: round(self.classes, request) }
    }

    fn decode(&self, players: &[Player], z: &Tensor, labels: &[i64], averaged: bool) -> Tensor {
        decoded_by(&players[GENERATOR], z, labels, averaged)
    }
}
