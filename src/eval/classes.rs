//! How well the classes of reference examples are named, by a model that names classes.

use super::{AGAINST_SAMPLES, Context, Outcome};

/// The share of reference examples whose likeliest class is theirs, and the mean of −log p of their class in nats.
pub(super) fn classification(cx: &Context) -> Result<Outcome, String> {
    let said = cx.answers.classes.as_ref().ok_or("the model names no classes")?;
    if said.rows() == 0 || cx.real.labels.len() != said.rows() {
        return Err("there are no labeled reference examples".to_owned());
    }
    let (mut right, mut nats) = (0.0, 0.0);
    for (i, &label) in cx.real.labels.iter().enumerate() {
        let row = said.row(i);
        let of_label = row[label as usize];
        right += f64::from(u8::from(row.iter().all(|&v| v <= of_label)));
        nats -= f64::from(of_label);
    }
    let n = said.rows() as f64;
    Ok(Outcome {
        values: vec![right / n, nats / n],
        n_real: Some(said.rows()),
        n_fake: 0,
        against: AGAINST_SAMPLES,
        parameters: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use crate::base::Array;
    use crate::data::Truth;
    use crate::eval::MetricSpec;
    use crate::eval::testing::{World, close, info};

    /* scikit-learn 1.9.1: p = [[.7,.2,.1],[.1,.5,.4],[.3,.3,.4],[.2,.6,.2]]; y = [0,2,2,1];
    accuracy_score(y, np.argmax(p, 1)) = 0.75; log_loss(y, p) = 0.6750205078632583 */
    #[test]
    fn accuracy_and_cross_entropy_are_those_of_scikit_learn() {
        let p = [0.7f32, 0.2, 0.1, 0.1, 0.5, 0.4, 0.3, 0.3, 0.4, 0.2, 0.6, 0.2];
        let x = Array::zeros(vec![4, 2]);
        let mut world = World::new(info(vec![2], Truth::Unknown), x, Array::default());
        world.real.labels = vec![0, 2, 2, 1];
        world.answers.classes = Some(Array::new(vec![4, 3], p.iter().map(|v| v.ln()).collect()));
        let values = world.measure(&MetricSpec::Classification);
        assert_eq!((values[0].metric.as_str(), values[1].metric.as_str()), ("accuracy", "cross-entropy"));
        close(values[0].value, 0.75, 1e-12);
        close(values[1].value, 0.675_020_507_863, 1e-6);
        world.answers.classes = None;
        let value = world.measure(&MetricSpec::Classification).remove(0);
        assert_eq!(value.protocol.parameters, "undefined: the model names no classes");
    }
}
