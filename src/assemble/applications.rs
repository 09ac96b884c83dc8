//! What `gantlet latent` asks of a worker: pictures of what a trained model's latents are good for, with the numbers that
//! belong to them. (torch)

use super::latent::{Given, Model, decibels, known, mean_row, nearest, patched, rows_of, scattered};
use super::samples;
use super::worker::{Asked, Refusal, ask_for_samples, emit};
use crate::base::{Array, file};
use crate::data::{DataInfo, Examples, Split};
use crate::objective::Request;
use crate::picture::{View, beside, encode_png, tiles};
use crate::record::event::{Event, LatentRequest, LatentWork, MaskKind, SampleRequest, SearchSettings, WorkerExit};
use crate::rng::Purpose;
use image::RgbImage;

/// Does it.
///
/// # Errors
/// Why this model, or these data, leave nothing to do.
pub(super) fn answer(request: &LatentRequest) -> Result<(), Refusal> {
    let (asked, averaged) = ask_for_samples(&request.of)?;
    let worker = Worker { asked: &asked, request: &request.of, averaged };
    match &request.what {
        LatentWork::Interpolate { places } => worker.interpolate(*places),
        LatentWork::Arithmetic { from, minus, plus, around } => worker.arithmetic([from, minus, plus], *around),
        LatentWork::Inpaint { mask, search, among } => worker.restore(&Loss::Part(*mask), search, *among),
        LatentWork::Denoise { std, search, among } => worker.restore(&Loss::Noise(*std), search, *among),
        LatentWork::Nearest { neighbors, among } => worker.nearest(*neighbors, *among),
    }
}

/// What examples lost.
enum Loss {
    Part(MaskKind),
    Noise(f64),
}

struct Worker<'a> {
    asked: &'a Asked,
    request: &'a SampleRequest,
    averaged: bool,
}

fn refuse<T>(message: String) -> Result<T, Refusal> {
    Err(Refusal::new(WorkerExit::Request, message))
}

impl Worker<'_> {
    fn info(&self) -> &DataInfo {
        self.asked.pack.sources[0].info()
    }

    fn drawn(&self, n: usize, index: u32) -> Request<'_> {
        Request { n, index, ..self.request.drawn(self.averaged) }
    }

    fn model(&self) -> Result<Model<'_>, Refusal> {
        let pack = &self.asked.pack;
        let Some(decode) = pack.objective.provides().latents else {
            let message = format!("`{}` makes no samples from latents", self.asked.cell.algorithm.family().tag());
            return Err(Refusal::new(WorkerExit::Request, message).help("GANs and VAEs do"));
        };
        Ok(Model { decode, players: &pack.players, averaged: self.averaged, device: pack.device })
    }

    /// The range of images.
    fn images(&self, what: &str) -> Result<(f32, f32), Refusal> {
        match self.info().range.filter(|_| self.info().is_image()) {
            Some(range) => Ok(range),
            None => refuse(format!("{what} is of images, and these examples are of shape {:?}", self.info().shape)),
        }
    }

    fn training(&self, among: usize) -> Result<Array, Refusal> {
        if self.info().len.is_none() {
            return refuse("the data is a distribution, which has no training examples to look among".to_owned());
        }
        Ok(self.asked.pack.sources[0].reference(Split::Train, 0, among).x)
    }

    fn held_out(&self, n: usize) -> Examples {
        let source = &self.asked.pack.sources[0];
        if !source.has_test() {
            let text = "the data has no held-out part: these are training examples".to_owned();
            emit(&Event::Warning { run: None, text });
        }
        source.reference(Split::Test, self.request.seed, n)
    }

    fn wrote(&self, what: &str) {
        let what = format!("{what}, {}", self.asked.origin(self.averaged, self.request.seed));
        emit(&Event::Wrote { path: self.request.out.clone(), what });
    }

    fn number(&self, metric: String, value: f64) {
        let value = Some(value).filter(|value| value.is_finite());
        emit(&Event::Number { step: self.asked.step, metric, value, protocol: vec![] });
    }

    fn save(&self, picture: &RgbImage) -> Result<(), Refusal> {
        file::write_atomic(&self.request.out, &encode_png(picture))
            .map_err(|error| Refusal::new(WorkerExit::Unexpected, error))
    }

    fn write(&self, examples: &Examples, per_row: usize) -> Result<(), Refusal> {
        let title = format!("step {}", self.asked.step);
        Ok(samples::write(&self.request.out, examples, per_row, &*self.asked.pack.sources[0], &title)?)
    }

    fn view(&self, x: &Array) -> View {
        View::new(self.info(), x)
    }

    fn interpolate(&self, places: usize) -> Result<(), Refusal> {
        let (model, rows) = (self.model()?, self.request.n);
        let ends = Given::of(&model.decode.latents(&self.drawn(2 * rows, 0)));
        self.write(&model.images(&model.paths(&ends, places)), places)?;
        let way = model.decode.law().way();
        self.wrote(&format!("{rows} {way} paths of {places} from sample i to sample {rows} + i"));
        Ok(())
    }

    fn arithmetic(&self, [from, minus, plus]: [&Vec<usize>; 3], around: f64) -> Result<(), Refusal> {
        let model = self.model()?;
        let sheet = Given::of(&model.decode.latents(&self.drawn(self.request.n, 0)));
        let label = |rows: &[usize]| rows.first().and_then(|&row| sheet.labels.get(row)).copied();
        let means = [from, minus, plus].map(|rows| mean_row(&sheet.z, rows));
        let sum: Vec<f32> = (0..sheet.z.row_len()).map(|k| means[0][k] - means[1][k] + means[2][k]).collect();
        // Nine, with the sum itself in the middle.
        let mut nine = scattered(&sum, 9, around, self.request.seed);
        let middle = 4 * sum.len()..5 * sum.len();
        nine.data[middle].copy_from_slice(&sum);
        let of_from = label(from);
        let result = model.images(&Given { z: nine, labels: of_from.map_or_else(Vec::new, |label| vec![label; 9]) });
        if self.info().is_image() && self.request.out.extension().is_some_and(|ending| ending == "png") {
            let widest = from.len().max(minus.len()).max(plus.len()) + 1;
            let groups: Vec<RgbImage> = [from, minus, plus]
                .into_iter()
                .zip(&means)
                .map(|(rows, mean)| {
                    let mut group = rows_of(&sheet.z, rows.iter().copied());
                    group.data.extend(mean);
                    group.shape[0] += 1;
                    let mut labels: Vec<i64> = rows.iter().filter_map(|&row| sheet.labels.get(row)).copied().collect();
                    labels.extend(label(rows));
                    let x = model.images(&Given { z: group, labels }).x;
                    self.view(&x).images(&x, widest)
                })
                .collect();
            let right = self.view(&result.x).images(&result.x, 3);
            self.save(&beside(&tiles(&groups, 1), &right, ("from, minus, plus; means last", "the sum")))?;
        } else {
            self.write(&result, 3)?;
        }
        self.wrote("the sum of means, with eight around it");
        Ok(())
    }

    /// Held-out images that lost something, and what the model holds them for.
    fn restore(&self, lost: &Loss, how: &SearchSettings, among: usize) -> Result<(), Refusal> {
        let range = self.images(if matches!(lost, Loss::Part(_)) { "inpainting" } else { "denoising" })?;
        let (low, high) = range;
        let model = self.model()?;
        let train = self.training(among)?;
        let truth = self.held_out(self.request.n);
        let n = truth.x.rows();
        let (given, mask) = match lost {
            Loss::Part(part) => {
                let mask = known(*part, &self.info().shape);
                let gray = Array::new(truth.x.shape.clone(), vec![f32::midpoint(low, high); truth.x.data.len()]);
                (patched(&truth.x, &gray, &mask), mask)
            }
            Loss::Noise(std) => {
                let mut stream = crate::rng::Stream::new(self.request.seed, Purpose::Sample, 2, 0);
                let noisy = truth.x.data.iter().map(|v| v + *std as f32 * stream.normal()).collect();
                (Array::new(truth.x.shape.clone(), noisy), vec![1.0; truth.x.row_len()])
            }
        };
        let mut starts = Given::of(&model.decode.latents(&self.drawn(n * how.restarts, 3)));
        if !starts.labels.is_empty() && self.request.label.is_none() {
            // A model that wants labels is told those of the examples.
            starts.labels = truth.labels.iter().flat_map(|&label| vec![label; how.restarts]).collect();
        }
        let found = model.search(&starts, &given, &mask, matches!(lost, Loss::Noise(_)), how);
        let found = patched_if(lost, &truth.x, model.images(&found).x, &mask);
        let neighbors = nearest(&given, &train, &mask, 1);
        let neighbor = rows_of(&train, neighbors.iter().map(|row| row[0].0));
        let neighbor = patched_if(lost, &truth.x, neighbor, &mask);
        let every: Vec<usize> = (0..train.rows()).collect();
        let mean = mean_row(&train, &every).repeat(n);
        let mean = patched_if(lost, &truth.x, Array::new(truth.x.shape.clone(), mean), &mask);
        let psnr = |x: &Array| decibels(x, &truth.x, &mask, range);
        self.number("psnr".to_owned(), psnr(&found));
        self.number("psnr/mean-image".to_owned(), psnr(&mean));
        self.number("psnr/nearest-training".to_owned(), psnr(&neighbor));
        if let Loss::Noise(_) = lost {
            self.number("psnr/noisy".to_owned(), psnr(&given));
        }
        let shape = [&[4 * n], &truth.x.shape[1..]].concat();
        let rows = Array::new(shape, [given.data, found.data, neighbor.data, truth.x.data].concat());
        self.save(&self.view(&rows).images(&rows, n))?;
        self.wrote(&format!(
            "{n} held-out examples: given, found, by the nearest of {} training examples, true",
            train.rows()
        ));
        Ok(())
    }

    fn nearest(&self, neighbors: usize, among: usize) -> Result<(), Refusal> {
        self.images("a picture of neighbors")?;
        let train = self.training(among)?;
        let n = self.request.n;
        let samples = self.asked.samples(&self.drawn(n, 0))?.x;
        let held_out = self.held_out(n).x;
        let all = vec![1.0; samples.row_len()];
        let found = nearest(&samples, &train, &all, neighbors);
        let mean = |found: &[Vec<(usize, f64)>]| found.iter().map(|row| row[0].1).sum::<f64>() / found.len() as f64;
        self.number("distance/samples".to_owned(), mean(&found));
        self.number("distance/held-out".to_owned(), mean(&nearest(&held_out, &train, &all, 1)));
        let mut rows = samples;
        for place in 0..neighbors.min(train.rows()) {
            rows.data.extend(rows_of(&train, found.iter().map(|row| row[place].0)).data);
            rows.shape[0] += n;
        }
        self.save(&self.view(&rows).images(&rows, n))?;
        self.wrote(&format!("{n} samples, and below each the nearest of {} training examples", train.rows()));
        Ok(())
    }
}

/// Where a part was lost all else stays as it is.
fn patched_if(lost: &Loss, truth: &Array, other: Array, mask: &[f32]) -> Array {
    match lost {
        Loss::Part(_) => patched(truth, &other, mask),
        Loss::Noise(_) => other,
    }
}
