//! Every layer against PyTorch. The numbers come from torch 2.11 with this Python; above each row stands what it
//! computed, with the parameters in our order:
//!
//! ```python
//! import torch, torch.nn.functional as F
//! def p(phase, *shape):
//!     n = 1
//!     for s in shape: n *= s
//!     return (torch.sin(phase + 0.7 * torch.arange(n, dtype=torch.float64)) / 2).float().reshape(shape)
//! def case(f, x, *shapes):
//!     x = (2 * p(100, *x)).requires_grad_()
//!     ps = [p(k + 1, *s).requires_grad_() for k, s in enumerate(shapes)]
//!     out = f(x, *ps)
//!     loss = (out * p(9, *out.shape)).sum()
//!     g, *gp = torch.autograd.grad(loss, [x, *ps], allow_unused=True)
//!     out, g = out.flatten(), g.flatten()
//!     all = [*out[:4], loss, *g[:4], g.abs().sum(), sum(v.abs().sum() for v in gp if v is not None)]
//!     return [float(f"{float(v):.6g}") for v in all]
//! def sn(w, u, dim=0):
//!     m = w.transpose(0, dim).flatten(1)
//!     with torch.no_grad():
//!         v = F.normalize(m.t() @ u, dim=0); u2 = F.normalize(m @ v, dim=0)
//!     return w / (u2 @ m @ v)
//! def wn(v, g, dim=0): return torch._weight_norm(v, g.reshape([-1 if d == dim else 1 for d in range(v.dim())]), dim)
//! def mbd(x, t, mean=False):
//!     m = (x @ t).reshape(len(x), 2, 3)
//!     c = torch.exp(-(m[:, None] - m[None]).abs().sum(3))
//!     return torch.cat([x, c.mean(1) if mean else c.sum(1)], 1)
//! def bn(x, w, b): return F.batch_norm(x, None, None, w, b, True)
//! def up(x, w1, b1, w2, b2, w3, b3):
//!     a = F.conv2d(F.interpolate(x.relu(), scale_factor=2), w1, b1, padding=1)
//!     return F.conv2d(a.relu(), w2, b2, padding=1) + F.interpolate(F.conv2d(x, w3, b3), scale_factor=2)
//! def down(x, w1, b1, w2, b2, w3, b3):
//!     a = F.conv2d(F.conv2d(x, w1, b1, padding=1).relu(), w2, b2, padding=1)
//!     return F.avg_pool2d(a, 2) + F.avg_pool2d(F.conv2d(x, w3, b3), 2)
//! def same(x, n1, m1, w1, b1, n2, m2, w2, b2):
//!     a = F.conv2d(bn2(x, n1, m1).relu(), w1, b1, padding=1)
//!     return x + F.conv2d(bn2(a, n2, m2).relu(), w2, b2, padding=1)
//! def vbn(x, w, b, r):
//!     d, c = [0, 2, 3][:x.dim() - 1], 1 / (len(r) + 1)
//!     own = lambda x: x.mean((2, 3), True) if x.dim() == 4 else x
//!     of = lambda x: own(x).mean(0, True)
//!     side = lambda w: w.reshape(1, -1, 1, 1) if x.dim() == 4 else w
//!     def norm(x, m, s): return (x - m) / torch.sqrt(s - m * m + 1e-5) * side(w) + side(b)
//!     m, s = of(r), of(r * r)
//!     return norm(r, m, s), norm(x, c * own(x) + (1 - c) * m, c * own(x * x) + (1 - c) * s)
//! def deep(x, w1, b1, g, c, w2, b2, h, d, r):
//!     r, x = vbn(F.linear(x, w1.t(), b1), g, c, F.linear(r.detach(), w1.t(), b1))
//!     r, x = r.tanh(), x.tanh()
//!     return vbn(F.linear(x, w2.t(), b2), h, d, F.linear(r, w2.t(), b2))[1]
//! def bn2(x, w, b): return F.layer_norm(x, x.shape[1:]) * w[:, None, None] + b[:, None, None]
//! def lbl(x):
//!     y = F.one_hot(torch.tensor([1, 0]), 3).float(); return torch.cat([x, y], 1)
//! def lblmap(x, w, b):
//!     y = F.linear(F.one_hot(torch.tensor([1, 0]), 3).float(), w.t(), b); return torch.cat([x, y[:, :, None, None].expand(-1, -1, 2, 2)], 1)
//! def msk(x, w, b, kind, colors=2):
//!     o, i, h, k = w.shape; c = k // 2
//!     full, m = torch.zeros(o, i, k, k), torch.zeros(o, i, k, k)
//!     full[:, :, :h] = w; m[:, :, :c] = 1; m[:, :, c, :c] = 1
//!     to, of = torch.arange(o)[:, None] % colors, torch.arange(i)[None] % colors
//!     m[:, :, c, c] = (of < to if kind == "A" else of <= to).float()
//!     return F.conv2d(x, full * m, b, padding=c)
//! def res(x, *w):
//!     y = x
//!     for k in range(3): y = msk(y.relu(), w[2 * k], w[2 * k + 1], "B", 4)
//!     return x + y
//! def gate(x): a, b = x.chunk(2, 1); return a.tanh() * b.sigmoid()
//! def stack(x, *w):
//!     v = h = x
//!     for n in range(0, len(w), 8):
//!         wv, bv, wa, ba, wh, bh, wo, bo = w[n:n + 8]; c = wv.shape[3] // 2
//!         vert = F.conv2d(F.pad(v, (c, c, c, 0)), wv, bv)[:, :, :x.shape[2]]
//!         full = torch.zeros(*wh.shape[:2], c + 1, 2 * c + 1); full[:, :, c, :c + 1] = wh[:, :, 0]
//!         hor = msk(h, full, bh, "B" if n else "A")
//!         out = msk(gate(hor + F.conv2d(vert, wa, ba)), wo, bo, "B")
//!         v, h = gate(vert), out + h if n else out
//!     return h
//! def lstm(z, c):
//!     o, f, i, g = z.chunk(4, 1); c = f.sigmoid() * c + i.sigmoid() * g.tanh()
//!     return o.sigmoid() * c.tanh(), c
//! def pixels(z, see):
//!     n, h, w = len(z), z.shape[2], z.shape[3]
//!     s = {}; at = lambda y, x: s.get((y, x), (torch.zeros(n, z.shape[1] // 4),) * 2)
//!     for y in range(h):
//!         for x in range(w): see(s, at, y, x, z[:, :, y, x])
//!     return torch.stack([torch.stack([s[y, x][0] for x in range(w)], 2) for y in range(h)], 2)
//! def row(x, w, b, k, wo, bo):
//!     full = torch.zeros(*w.shape[:2], 2, 3); full[:, :, 1, :2] = w[:, :, 0]
//!     def see(s, at, y, x, z):
//!         for d in range(3): z = z + at(y - 1, x + d - 1)[0] @ k[:, :, 0, d].t()
//!         s[y, x] = lstm(z, at(y - 1, x)[1])
//!     return x + msk(pixels(msk(x, full, b, "B"), see), wo, bo, "B")
//! def bi(x, wl, bl, kl, wr, br, kr, wo, bo):
//!     def way(k):
//!         def see(s, at, y, x, z):
//!             z = z + at(y - 1, x)[0] @ k[:, :, 0, 0].t() + at(y, x - 1)[0] @ k[:, :, 1, 0].t()
//!             s[y, x] = lstm(z, at(y, x - 1)[1])
//!         return see
//!     l = pixels(msk(x, wl, bl, "B"), way(kl))
//!     r = pixels(msk(x, wr, br, "B").flip(3), way(kr)).flip(3)
//!     return x + msk(l + F.pad(r[:, :, :-1], (0, 0, 1, 0)), wo, bo, "B")
//! ```

use super::testing::{assert_near, discriminator, generator, numbers, planned, said, tensor};
use super::{Head, Role, Wiring};
use tch::{Kind, Tensor};

/// The numbers that Python's `p` gives.
fn p(phase: usize, shape: &[i64]) -> Tensor {
    let n = shape.iter().product::<i64>();
    let all: Vec<f32> = (0..n).map(|i| ((phase as f64 + 0.7 * i as f64).sin() / 2.0) as f32).collect();
    tensor(&all, shape)
}

/// The parameters as Python has them, for one run.
fn patterned(plan: &super::NetworkPlan) -> Vec<Tensor> {
    let of = |(k, param): (usize, &super::ParamPlan)| {
        let mut shape = vec![1];
        shape.extend(param.shape.iter().map(|&n| n as i64));
        p(k + 1, &shape).set_requires_grad(param.learned)
    };
    plan.params.iter().enumerate().map(of).collect()
}

type Case = (&'static str, &'static [usize], &'static [usize], [f32; 11]);

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    vec![
        // F.linear(x, w.t(), b)
        (r#"{ linear = 3 }"#, &[4], &[3], [0.332968, 0.263063, 0.0694354, 0.602425, -0.342741, -0.120469, 0.24816, -0.130096, -0.116803, 1.79314, 4.3211]),
        // F.linear(x, sn(w.t(), u))
        (r#"{ linear = { out = 3, bias = false, weight = "spectral" } }"#, &[4], &[3], [-0.116697, 0.0473509, 0.189129, 0.141724, -0.157596, -0.115535, 0.237996, -0.124768, -0.112019, 1.7197, 2.87458]),
        // F.linear(x, wn(w.t(), g))
        (r#"{ linear = { out = 3, bias = false, weight = "norm" } }"#, &[4], &[3], [-0.0743677, 0.013409, -0.0361028, 0.0903167, -0.0442391, 0.0602805, -0.0231286, -0.0369277, 0.0604143, 0.699399, 1.51748]),
        // F.conv2d(x, w, b, 2, 1)
        (r#"{ conv = { out = 3, kernel = 3, stride = 2, padding = 1 } }"#, &[2, 5, 5], &[3, 3, 3], [1.10913, -0.417574, 0.911709, 1.01535, -1.71102, -0.189583, -0.294078, 0.137928, 0.207592, 48.2898, 10.9134]),
        // F.conv2d(x, sn(w, u))
        (r#"{ conv = { out = 3, kernel = 2, bias = false, weight = "spectral" } }"#, &[2, 3, 3], &[3, 2, 2], [-0.2148, -0.0617561, 0.245827, 0.255705, -0.00195013, -0.0341293, -0.0502652, -0.0352367, -0.00863131, 1.30117, 10.3059]),
        // F.conv_transpose2d(x, w, b, 2, 1)
        (r#"{ conv-transpose = { out = 3, kernel = 4, stride = 2, padding = 1 } }"#, &[2, 3, 3], &[3, 6, 6], [0.606184, 0.380388, 0.263719, 0.114968, -1.1742, 0.434043, -0.464243, 0.159697, 0.484181, 15.9054, 172.285]),
        // F.conv_transpose2d(x, w, None, 2, 2, 1)
        (r#"{ conv-transpose = { out = 1, kernel = 5, stride = 2, padding = 2, output-padding = 1, bias = false } }"#, &[2, 3, 3], &[1, 6, 6], [0.833435, 1.16351, 1.50887, 1.09657, -15.9756, 1.06273, -0.267294, -1.17905, -0.256651, 29.4211, 82.0977]),
        // F.conv_transpose2d(x, sn(w, u, 1))
        (r#"{ conv-transpose = { out = 3, kernel = 2, bias = false, weight = "spectral" } }"#, &[2, 2, 2], &[3, 3, 3], [-0.219988, -0.451264, 0.0321529, -0.250315, 2.44696, -0.274526, -0.379263, -0.0882495, 0.170633, 4.70387, 33.9328]),
        // F.conv_transpose2d(x, wn(w, g, 1))
        (r#"{ conv-transpose = { out = 3, kernel = 2, bias = false, weight = "norm" } }"#, &[2, 2, 2], &[3, 3, 3], [-0.0895793, -0.183755, 0.0130927, -0.101928, -0.0710677, 0.0421582, -0.035474, -0.112022, -0.0749355, 0.932629, 13.3437]),
        // F.interpolate(x, scale_factor=3)
        (r#"{ upsample = 3 }"#, &[2, 2, 2], &[2, 6, 6], [-0.506366, -0.506366, -0.506366, 0.168231, 0.0150948, 0.0239474, -0.00709316, 0.0241284, -0.00788248, 0.273396, 0.0]),
        // F.avg_pool2d(x, 2)
        (r#"{ downsample = {} }"#, &[2, 4, 4], &[2, 2, 2], [0.149886, 0.0796872, 0.0815192, 0.149141, -0.0533611, 0.0515148, 0.0515148, -0.0339701, -0.0339701, 4.78791, 0.0]),
        // x.mean((2, 3))
        (r#"{ global-pool = {} }"#, &[2, 3, 3], &[2], [-0.00208671, -0.00205696, -0.00202663, -0.00199576, 0.0016808, 0.0228955, 0.0228955, 0.0228955, 0.0228955, 1.25313, 0.0]),
        // x.sum((2, 3))
        (r#"{ global-pool = { by = "sum" } }"#, &[2, 3, 3], &[2], [-0.0187804, -0.0185126, -0.0182397, -0.0179618, 0.0151272, 0.206059, 0.206059, 0.206059, 0.206059, 11.2782, 0.0]),
        // F.linear(x, w.t(), b).reshape(-1, 2, 3).max(2)[0]
        (r#"{ maxout = { units = 2, pieces = 3 } }"#, &[4], &[2], [0.606331, -0.416495, 0.290334, -0.103633, 0.112895, 0.15311, -0.136064, -0.0196961, 0.155377, 1.06968, 3.77646]),
        // mbd(x, t)
        (r#"{ minibatch-discrimination = { kernels = 2, dims = 3 } }"#, &[4], &[6], [-0.506366, 0.168231, 0.763706, 0.999998, -2.34577, 0.224952, -0.403045, -0.170845, -0.468445, 2.67147, 4.85622]),
        // mbd(x, t, True)
        (r#"{ minibatch-discrimination = { kernels = 2, dims = 3, mean = true } }"#, &[4], &[6], [-0.506366, 0.168231, 0.763706, 0.999998, -1.69406, 0.215505, -0.269463, -0.292379, -0.482861, 2.6762, 2.42811]),
        // F.batch_norm(x, None, None, w, b, True)
        (r#"{ batch-norm = {} }"#, &[3], &[3], [0.0339169, -0.282115, 0.209942, 0.87538, -0.707471, 3.44653e-06, 1.95634e-05, -2.48049e-05, -3.44653e-06, 9.56326e-05, 2.51586]),
        // F.batch_norm(x, None, None, w, b, True)
        (r#"{ batch-norm = {} }"#, &[2, 3, 3], &[2, 3, 3], [0.154643, 0.555951, 0.91019, 1.05076, -5.78822, -0.02708, -0.031036, -0.0203689, -9.55655e-05, 0.782042, 12.6875]),
        // F.batch_norm(x, None, None, None, None, True, eps=0.1)
        (r#"{ batch-norm = { eps = 0.1, affine = false } }"#, &[3], &[3], [-0.92203, -0.686882, 0.683374, 0.92203, -1.05354, 0.064516, 0.127997, -0.234263, -0.064516, 0.853552, 0.0]),
        // F.layer_norm(x, [4], w, b)
        (r#""layer-norm""#, &[4], &[4], [-0.167895, 0.0536836, 0.108154, -0.38619, -0.574388, 0.0679901, -0.0892946, -0.119087, 0.140391, 0.728341, 2.86674]),
        // F.group_norm(x, 1, w, b)
        (r#""layer-norm""#, &[2, 3, 3], &[2, 3, 3], [0.154659, 0.555957, 0.910188, 1.05075, -5.78821, -0.0404352, -0.0265915, -0.000212757, 0.0262947, 0.990835, 12.6875]),
        // F.instance_norm(x)
        (r#""instance-norm""#, &[2, 3, 3], &[2, 3, 3], [-0.712975, 0.240804, 1.08272, 1.4168, -12.6544, -0.0643635, -0.0737649, -0.048412, -0.000228685, 1.70631, 0.0]),
        // F.group_norm(x, 2, w, b)
        (r#"{ group-norm = 2 }"#, &[6], &[6], [-0.0709957, 0.238894, 0.277006, -0.388024, 0.689459, 0.0203268, -0.0433371, 0.0230103, -0.140562, 1.08713, 4.78778]),
        // F.group_norm(x, 2, w, b)
        (r#"{ group-norm = 2 }"#, &[4, 2, 2], &[4, 2, 2], [0.0605972, 0.488553, 0.866316, 1.01622, -3.04081, -0.0566413, -0.038463, -0.00731758, 0.0221469, 1.1106, 15.5679]),
        // vbn(x, w, b, r.detach())[1]
        (r#"{ virtual-batch-norm = 3 }"#, &[3], &[3], [0.030199, 0.411962, 0.302128, 1.04889, -0.989761, 0.113793, -0.152288, -0.107108, -0.0991566, 0.629072, 3.16747]),
        // vbn(x, w, b, r.detach())[1]
        (r#"{ virtual-batch-norm = 4 }"#, &[2, 3, 3], &[2, 3, 3], [-0.0219252, 0.612933, 1.17333, 1.3957, -9.16353, 0.0751717, -0.0886727, -0.210901, -0.234027, 5.95955, 20.0527]),
        // deep(x, ...)
        (r#"{ linear = 4 }, { virtual-batch-norm = 5 }, "tanh", { linear = 2 }, { virtual-batch-norm = 5 }"#, &[3], &[2], [0.117666, 0.158865, 0.145166, -0.451197, 0.166943, 0.1798, -0.168491, 0.137712, 0.305974, 1.40199, 4.84362]),
        // up(x, ...)
        (r#"{ residual = { out = 3, resample = "up" } }"#, &[2, 2, 2], &[3, 4, 4], [0.160561, 0.446762, 0.0533927, -0.403633, 3.84829, 0.306586, -1.42525, 6.50297, 1.31251, 37.2242, 79.948]),
        // down(x, ...)
        (r#"{ residual = { out = 3, resample = "down", first = true } }"#, &[2, 4, 4], &[3, 2, 2], [2.15631, 0.926118, -3.9056, -2.10979, 2.38818, 0.0931, 0.259292, 0.306449, 0.27437, 13.6843, 67.9809]),
        // same(x, ...)
        (r#"{ residual = { out = 2, norm = "layer" } }"#, &[2, 3, 3], &[2, 3, 3], [-0.0729689, 0.158999, 0.483153, 0.741003, -1.24108, 0.279407, -0.119958, -0.253783, -0.511328, 11.9351, 74.921]),
        // msk(x, w, b, "A")
        (r#"{ masked-conv = { out = 4, kernel = 3, mask = "a" } }"#, &[2, 4, 4], &[4, 4, 4], [0.454649, 0.0413722, 0.0622382, 0.267661, 1.19918, 0.432122, 1.17472, 1.28081, 0.398077, 37.2138, 33.0291]),
        // msk(x, w, b, "B")
        (r#"{ masked-conv = { out = 3, kernel = 5, mask = "b" } }"#, &[2, 4, 4], &[3, 4, 4], [0.448376, 0.126294, 0.271753, 0.880955, -25.8908, -1.79409, -2.60806, -1.50801, 0.228562, 64.3073, 151.119]),
        // res(x, ...)
        (r#"{ masked-residual = 3 }"#, &[4, 3, 3], &[4, 3, 3], [-0.646073, 0.0285235, 0.623999, 0.860291, -17.9206, 0.206059, -0.204927, -0.460876, -0.497276, 23.1416, 2.29695]),
        // stack(x, ...)
        (r#"{ gated-stack = { channels = 2, layers = 2, first = 5 } }"#, &[2, 4, 4], &[2, 4, 4], [0.442205, 0.416221, 0.372145, 0.319799, 0.407846, 0.0445288, 0.00486102, -0.0696042, -0.0221393, 3.28976, 35.5884]),
        // row(x, ...)
        (r#"{ row-lstm = 2 }"#, &[2, 4, 3], &[2, 4, 3], [-0.989201, -0.350599, 0.300157, 0.547648, -11.7227, 0.185994, -0.160601, -0.423834, -0.499534, 14.9937, 4.89142]),
        // bi(x, ...)
        (r#"{ diagonal-bilstm = 2 }"#, &[2, 4, 3], &[2, 4, 3], [-0.0148479, 0.657913, 1.25236, 1.50916, -11.5907, 0.222387, -0.124197, -0.411195, -0.512708, 14.9767, 5.1634]),
        // lbl(x)
        (r#"{ label = {} }"#, &[2], &[5], [-0.506366, 0.168231, 0.0, 1.0, 0.132238, 0.206059, -0.13588, -0.0331609, 0.296037, 0.671137, 0.0]),
        // lblmap(x, w, b)
        (r#"{ label = { layers = [{ linear = 2 }] } }"#, &[1, 2, 2], &[3, 2, 2], [-0.506366, 0.168231, 0.763706, 0.999998, -1.36501, 0.206059, -0.13588, -0.413913, -0.497276, 2.41765, 5.28285]),
    ]
}

#[test]
fn layers_give_the_numbers_and_gradients_that_pytorch_gives() {
    tch::set_num_threads(1);
    let both = |case| [false, true].map(|slopes| (case, slopes));
    for ((toml, input, output, expected), slopes) in cases().into_iter().flat_map(both) {
        let classes = if toml.contains("label") { 3 } else { 0 };
        let wiring = Wiring {
            role: Role::Generator,
            input: input.to_vec(),
            output: output.to_vec(),
            classes,
            ..generator(1, &[1])
        };
        let plan = planned(&format!("{{ layers = [{toml}] }}"), &wiring).expect(toml);
        let params = patterned(&plan);
        let with_batch =
            |shape: &[usize]| -> Vec<i64> { [1, 2].into_iter().chain(shape.iter().map(|&n| n as i64)).collect() };
        let x = (p(100, &with_batch(input)) * 2.0).set_requires_grad(true);
        let labels = Tensor::from_slice(&[1i64, 0]).view([1, 2]);
        let out = said(&plan, &params, &x, Some(&labels), &[0], true, slopes).out;
        assert_eq!(out.size(), with_batch(output), "{toml}");
        let loss = (&out * p(9, &with_batch(output))).sum(Kind::Float);
        let mut inputs: Vec<&Tensor> = vec![&x];
        inputs.extend(params.iter().zip(&plan.params).filter(|(_, plan)| plan.learned).map(|(param, _)| param));
        let gradients = Tensor::run_backward(&[&loss], &inputs, false, false);
        let mut found = numbers(&out)[..4].to_vec();
        found.extend(numbers(&loss));
        found.extend(&numbers(&gradients[0])[..4]);
        found.extend(numbers(&gradients[0].abs().sum(Kind::Float)));
        found.push(gradients[1..].iter().flat_map(numbers).map(f32::abs).sum());
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() <= 1e-4 * (0.1 + b.abs()), "{toml}: number {i} is {a} instead of {b}: {found:?}");
        }
    }
}

// x = torch.tensor([-30., -1.5, -0.5, 0., 0.25, 2., 30.], requires_grad=True); y = F.elu(x) and so on
// g, = torch.autograd.grad(y.sum(), x, create_graph=True); h, = torch.autograd.grad(g.sum(), x)
#[test]
fn activations_and_their_first_and_second_derivatives_are_those_of_pytorch() {
    let same = [-30.0, -1.5, -0.5, 0.0, 0.25, 2.0, 30.0];
    let none = [0.0; 7];
    let cases = [
        ("\"relu\"", [0.0, 0.0, 0.0, 0.0, 0.25, 2.0, 30.0], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0], none),
        ("{ leaky-relu = 0.2 }", [-6.0, -0.3, -0.1, 0.0, 0.25, 2.0, 30.0], [0.2, 0.2, 0.2, 0.2, 1.0, 1.0, 1.0], none),
        (
            "\"elu\"",
            [-1.0, -0.77687, -0.393469, 0.0, 0.25, 2.0, 30.0],
            [9.35762e-14, 0.22313, 0.606531, 1.0, 1.0, 1.0, 1.0],
            [9.35762e-14, 0.22313, 0.606531, 0.0, 0.0, 0.0, 0.0],
        ),
        (
            "\"selu\"",
            [-1.7581, -1.36581, -0.691758, 0.0, 0.262675, 2.1014, 31.521],
            [1.64516e-13, 0.392285, 1.06634, 1.7581, 1.0507, 1.0507, 1.0507],
            [1.64516e-13, 0.392285, 1.06634, 0.0, 0.0, 0.0, 0.0],
        ),
        (
            "\"softplus\"",
            [9.35762e-14, 0.201413, 0.474077, std::f32::consts::LN_2, 0.825939, 2.12693, 30.0],
            [9.35762e-14, 0.182426, 0.377541, 0.5, 0.562177, 0.880797, 1.0],
            [9.35762e-14, 0.149146, 0.235004, 0.25, 0.246134, 0.104994, 0.0],
        ),
        (
            "\"tanh\"",
            [-1.0, -0.905148, -0.462117, 0.0, 0.244919, 0.964028, 1.0],
            [0.0, 0.180707, 0.786448, 1.0, 0.940015, 0.0706508, 0.0],
            [0.0, 0.327133, 0.726862, 0.0, -0.460454, -0.136219, 0.0],
        ),
        (
            "\"sigmoid\"",
            [9.35762e-14, 0.182426, 0.377541, 0.5, 0.562177, 0.880797, 1.0],
            [9.35762e-14, 0.149146, 0.235004, 0.25, 0.246134, 0.104994, 0.0],
            [9.35762e-14, 0.0947302, 0.0575568, 0.0, -0.0306075, -0.0799625, 0.0],
        ),
    ];
    let roles = [generator(1, &[1]), discriminator(&[1])];
    for ((toml, value, first, second), wiring) in
        cases.into_iter().flat_map(|case| roles.iter().map(move |role| (case, role)))
    {
        let plan = planned(&format!("{{ layers = [{toml}] }}"), wiring).expect(toml);
        let x = tensor(&same, &[1, 7, 1]).set_requires_grad(true);
        let y = said(&plan, &[], &x, None, &[0], true, true).out;
        assert_near(&y, &value);
        let slope = &Tensor::run_backward(&[y.sum(Kind::Float)], &[&x], true, true)[0];
        assert_near(slope, &first);
        // Adding x² gives those without a second derivative something to differentiate.
        let bent = (slope + &x * &x).sum(Kind::Float);
        let bend = &Tensor::run_backward(&[bent], &[&x], false, false)[0] - &x * 2.0;
        // At 0 elu and selu have no second derivative.
        let smooth = !toml.contains("elu\"") || toml.contains("relu");
        for (i, (found, expected)) in numbers(&bend).into_iter().zip(second).enumerate() {
            assert!((found - expected).abs() < 2e-5 || i == 3 && !smooth, "{toml}: {found} instead of {expected}");
        }
    }
}

// x = 2 * p(100, 4, 3); m = torch.nn.BatchNorm1d(3, momentum=.3); m(x); m.eval()
// m.running_mean, m.running_var, m(x).flatten()[:4]; the same with p(100, 4, 2, 3, 3) and BatchNorm2d(2)
#[test]
fn batch_norm_keeps_running_statistics_and_evaluates_by_them() {
    type Expected = (&'static [usize], &'static [f32], &'static [f32], [f32; 4]);
    let cases: [Expected; 2] = [
        (
            &[3],
            &[-0.037_611_55, 0.013_301_826, 0.057_959_154],
            &[0.868_872_94, 0.852_797, 0.894_131_2],
            [-0.502_880_1, 0.167_767_78, 0.746_356_25, 1.113_149_5],
        ),
        (
            &[2, 3, 3],
            &[-0.000_598_301_65, -0.000_588_869],
            &[0.854_317_2, 0.854_302_3],
            [-0.547_190_67, 0.182_657_03, 0.826_902_7, 1.082_547_5],
        ),
    ];
    for (shape, mean, var, evaluated) in cases {
        let wiring = Wiring { input: shape.to_vec(), output: shape.to_vec(), ..generator(1, &[1]) };
        let plan = planned("{ layers = [{ batch-norm = { momentum = 0.3 } }] }", &wiring).expect("it fits");
        let super::testing::Pack { params, .. } = super::testing::pack(&plan, &[0]);
        let mut whole = vec![1, 4];
        whole.extend(shape.iter().map(|&n| n as i64));
        let x = p(100, &whole) * 2.0;
        let _ = said(&plan, &params, &x, None, &[0], true, false);
        assert_near(&params[2], mean);
        assert_near(&params[3], var);
        let out = said(&plan, &params, &x, None, &[0], false, false).out;
        assert_near(&out.flatten(0, -1).narrow(0, 0, 4), &evaluated);
        assert_near(&params[2], mean);
    }
}

// w = p(1, 4, 3).t(); u = p(2, 3)
// for _ in range(2): v = F.normalize(w.t() @ u, dim=0); u = F.normalize(w @ v, dim=0); print(u)
// (torch.nn.utils.spectral_norm gives the same first u)
#[test]
fn spectral_norm_takes_one_power_step_a_training_pass_and_none_in_evaluation() {
    let toml = r#"{ layers = [{ linear = { out = 3, bias = false, weight = "spectral" } }] }"#;
    let plan = planned(toml, &generator(4, &[3])).expect("it fits");
    let params = patterned(&plan);
    let x = p(100, &[1, 2, 4]);
    let _ = said(&plan, &params, &x, None, &[0], true, false);
    assert_near(&params[1], &[0.713_325_14, 0.645_205_74, 0.273_636]);
    let _ = said(&plan, &params, &x, None, &[0], false, false);
    assert_near(&params[1], &[0.713_325_14, 0.645_205_74, 0.273_636]);
    let _ = said(&plan, &params, &x, None, &[0], true, false);
    assert_near(&params[1], &[0.593_019_3, 0.674_824_54, 0.439_249_3]);
}

// x = 2 * p(100, 2, 4); h = torch.tanh(x @ p(1, 4, 3) + p(2, 3)); d = (h @ p(3, 3, 1) + p(4, 1))[:, 0]; y = torch.tensor([1, 0])
// V = p(5, 5, 3); d + (V[y] * h).sum(1); h @ p(5, 3, 5) + p(6, 5)
#[test]
fn heads_look_at_what_enters_the_last_linear_layer() {
    let toml = r#"{ mlp = { hidden = [3], activation = "tanh" } }"#;
    let x = p(100, &[1, 2, 4]) * 2.0;
    let labels = Tensor::from_slice(&[1i64, 0]).view([1, 2]);
    let with = |head| {
        let plan = planned(toml, &Wiring { classes: 5, head, ..discriminator(&[4]) }).expect("it fits");
        assert_eq!(plan.features, 3);
        said(&plan, &patterned(&plan), &x, Some(&labels), &[0], true, false)
    };
    let projected = with(Head::Projection);
    assert_near(&projected.out, &[-0.183_712_75, -0.551_230_9]);
    assert_eq!(projected.features.expect("a discriminator has features").size(), [1, 2, 3]);
    let classified = with(Head::Classifier);
    assert_near(&classified.out, &[-0.456_848_7, -0.227_482_33]);
    let logits = [
        -0.209_633_8,
        0.147_266_03,
        0.434_904_34,
        0.518_000_36,
        0.357_472_7,
        -0.242_393_82,
        0.050_735_43,
        0.320_003_03,
        0.438_768_18,
        0.351_173_8,
    ];
    assert_near(&classified.class_logits.expect("a classifier has logits"), &logits);
}
