//! The file that `gantlet init` writes.

/// The text of a commented file to start from, under this name.
pub fn starter(name: &str) -> String {
    TEXT.replace("NAME", name)
}

const TEXT: &str = r#"# NAME: a generator and a discriminator of a few units learn a Gaussian in one dimension.
#
#   gantlet plan NAME.toml      what would run: cells, networks, shapes
#   gantlet run NAME.toml       runs what is not done yet
#   gantlet verify NAME.toml    whether the claims below hold
#
# Any key can be set for once: `gantlet run NAME.toml --set schedule.steps=200`.
name  = "NAME"
about = "Which loss finds the mean of a Gaussian?"
seeds = 4                                  # each cell runs with seeds 0 to 3; or a list: [1, 5, 9]

[data.gaussian]                            # the tag names the kind of data
mean = 4.0

[algorithm.gan]
latent = { uniform = { dim = 1 } }         # what the generator is fed

[architecture]                             # a preset, or a list of layers
generator     = { mlp = { hidden = [16], activation = "softplus" } }
discriminator = { layers = [{ linear = { out = 16 } }, "relu", { linear = { out = 16 } }, "relu", { linear = { out = 1 } }] }

[loss]
adversarial = "non-saturating"             # vanilla, hinge, wasserstein, least-squares, …

[optimizer]                                # one for each player
generator     = { adam = { lr = 1e-3, betas = [0.5, 0.999] } }
discriminator = { adam = { lr = 1e-3, betas = [0.5, 0.999] } }

[schedule]
steps = 3000
batch = 64

[output]
metrics-every = 10
samples-every = 1000

[eval]
every   = 1000
metrics = ["mean"]

[grid]                                     # every combination of these values
"loss.adversarial" = ["non-saturating", "hinge"]

[[claims]]                                 # what `gantlet verify` answers
says     = "The non-saturating loss ends above 3, on the way to the data's mean of 4."
metric   = "mean"
where    = { "loss.adversarial" = "non-saturating" }
at-least = 3.0
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_is_a_valid_experiment() {
        let plan = super::super::plan::tests::plan(&starter("first")).map_err(|d| d.render(super::super::Style::Plain));
        let plan = plan.unwrap_or_else(|text| panic!("{text}"));
        assert_eq!((plan.name.as_str(), plan.cells.len(), plan.claims.len()), ("first", 8, 1));
    }
}
