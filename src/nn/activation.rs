//! Functions of one number, from operations whose bits do not depend on where in a tensor a number lies.
//!
//! libtorch computes the body of a tensor with vector instructions and its tail one by one. For sigmoid, softplus, elu
//! and selu the two differ in the last bit, so a run would differ within a pack from what it is alone. exp, expm1, log1p,
//! tanh, relu and arithmetic are the same everywhere; everything here is made of these, and so are the derivatives: the
//! second ones too in a discriminator, which gradient penalties differentiate twice.

use super::plan::Role;
use super::spec::ActivationSpec;
use tch::Tensor;

/// The constants of arXiv:1706.02515.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// The activation of every number.
pub(super) fn activate(x: &Tensor, activation: ActivationSpec, role: Role) -> Tensor {
    match activation {
        ActivationSpec::Linear => x.shallow_clone(),
        ActivationSpec::Relu => x.relu(),
        // tch's leaky_relu has a fixed slope. The backward formula, g for x > 0 and else slope·g, is the function itself
        // where g = x; with the condition detached, autograd differentiates it once and twice as it should.
        ActivationSpec::LeakyRelu(spec) => x.detach().leaky_relu_backward(x, spec.slope.get(), false),
        ActivationSpec::Elu => x.relu() + x.clamp_max(0.0).expm1(),
        ActivationSpec::Selu => x.relu() * SELU_SCALE + x.clamp_max(0.0).expm1() * (SELU_SCALE * SELU_ALPHA),
        // The second derivative of log_sigmoid contains a sigmoid.
        ActivationSpec::Softplus if role != Role::Discriminator => x.neg().log_sigmoid().neg(),
        ActivationSpec::Softplus => softplus(x),
        ActivationSpec::Tanh => x.tanh(),
        ActivationSpec::Sigmoid => (x * 0.5).tanh() * 0.5 + 0.5,
    }
}

/// log(1 + eˣ) = m + log(e^(x−m) + e^(−m)) with m = max(x, 0) held constant, whose derivatives are right to any order.
/// One of the two powers is 1, so they are summed as log1p wants them.
fn softplus(x: &Tensor) -> Tensor {
    let top = x.detach().relu();
    let rest = (-&top).expm1();
    ((x - &top).exp() + rest).log1p() + top
}
