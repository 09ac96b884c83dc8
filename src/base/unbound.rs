//! What tch does not bind, through `unbound.cpp`: nodes of autograd with a backward pass of our own, oneDNN's product of
//! matrices, libtorch's threads, and the kinds of numbers that it multiplies in. (torch)
//!
//! libtorch spends a microsecond or two on every operation that it records; work on small tensors is that and little
//! else. What is computed in Rust on host memory becomes one node here.

use std::ffi::c_void;
use tch::{Device, Tensor};

/// Gradients of the inputs, in their order, given inputs and the gradient of the output; a place is `None` where the last
/// argument says that nobody wants it.
type Backward = Box<dyn Fn(&[Tensor], &Tensor, &[bool]) -> Vec<Option<Tensor>>>;

/// How often a node can be differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivatives {
    /// Once: its backward pass is not recorded.
    One,
    /// As often as its backward pass can, which is made of operations that are recorded.
    All,
}

/// `value`, computed from `inputs` without being recorded, as the result of one node.
///
/// # Panics
/// If libtorch refuses, and later, in a backward pass that is recorded itself, where there is one derivative.
pub fn attach(value: Tensor, inputs: &[&Tensor], derivatives: Derivatives, backward: Backward) -> Tensor {
    let pointers: Vec<*const c_void> = inputs.iter().map(|t| t.as_ptr().cast()).collect();
    let state = Box::into_raw(Box::new(backward)).cast();
    // SAFETY: the pointers are of tensors that live through the call; `state` is taken over, and freed by `drop_state`.
    #[expect(unsafe_code, reason = "autograd's nodes are C++ objects")]
    let done = unsafe {
        let again = derivatives == Derivatives::All;
        gantlet_attach(
            value.as_ptr().cast(),
            pointers.as_ptr(),
            pointers.len(),
            state,
            call_backward,
            drop_state,
            again,
        )
    };
    assert!(done, "libtorch refused a node");
    value
}

/// Whether operations on these tensors are recorded now, for a backward pass.
pub fn is_recorded(tensors: &[&Tensor]) -> bool {
    // SAFETY: a setting of this thread.
    #[expect(unsafe_code, reason = "a function in C++")]
    let recording = unsafe { gantlet_recording() };
    recording && tensors.iter().any(|t| t.requires_grad())
}

/// Whether this thread's products on the CPU are computed in bfloat16.
pub fn is_bfloat16() -> bool {
    // SAFETY: a setting of this thread.
    #[expect(unsafe_code, reason = "a function in C++")]
    unsafe {
        gantlet_is_bfloat16()
    }
}

/// x·w + bias run by run, of `[R, m, k]`, `[R, k, n]` and `[R, n]` on the CPU, by oneDNN or by MKL. Not recorded.
///
/// # Panics
/// If libtorch refuses.
pub fn product(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, onednn: bool) -> Tensor {
    let bias = bias.map_or(std::ptr::null(), |bias| bias.as_ptr().cast());
    // SAFETY: the pointers are of tensors that live through the call; the result is ours.
    #[expect(unsafe_code, reason = "a function in C++")]
    unsafe {
        let made = gantlet_product(x.as_ptr().cast(), w.as_ptr().cast(), bias, onednn);
        assert!(!made.is_null(), "libtorch refused a product of {:?} and {:?}", x.size(), w.size());
        Tensor::from_ptr(made.cast())
    }
}

/// Calls `work` with each piece of `out` that is `len` long and its number, on libtorch's threads. The last piece
/// may be shorter.
///
/// # Panics
/// If libtorch refuses. A panic of `work` ends the process.
pub fn each_piece(out: &mut [f32], len: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    struct Shared<F> {
        first: *mut f32,
        total: usize,
        len: usize,
        work: F,
    }
    extern "C" fn call<F: Fn(usize, &mut [f32])>(state: *const c_void, begin: usize, end: usize) {
        // SAFETY: `state` is the `Shared` of the call below; ranges do not overlap, so no two slices share a number.
        #[expect(unsafe_code, reason = "the arguments come from C++")]
        let (shared, slice) = unsafe {
            let shared = &*state.cast::<Shared<F>>();
            let (from, to) = (begin * shared.len, (end * shared.len).min(shared.total));
            (shared, std::slice::from_raw_parts_mut(shared.first.add(from), to - from))
        };
        for (i, piece) in slice.chunks_mut(shared.len).enumerate() {
            (shared.work)(begin + i, piece);
        }
    }
    fn of<F: Fn(usize, &mut [f32])>(_: &Shared<F>) -> extern "C" fn(*const c_void, usize, usize) {
        call::<F>
    }
    let shared = Shared { first: out.as_mut_ptr(), total: out.len(), len, work };
    // SAFETY: `shared` and `out` live through the call.
    #[expect(unsafe_code, reason = "a function in C++")]
    let done = unsafe { gantlet_parallel(out.len().div_ceil(len), (&raw const shared).cast(), of(&shared)) };
    assert!(done, "libtorch refused to share work out");
}

/// Does the work with products and convolutions on the device in bfloat16: operands are rounded to 7 bits of fraction,
/// sums are float32.
pub fn in_bfloat16<T>(device: Device, work: impl FnOnce() -> T) -> T {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: a setting of this thread.
            #[expect(unsafe_code, reason = "a function in C++")]
            unsafe {
                gantlet_bfloat16(false, self.0);
            }
        }
    }
    let back = Back(device.is_cuda());
    // SAFETY: a setting of this thread.
    #[expect(unsafe_code, reason = "a function in C++")]
    unsafe {
        gantlet_bfloat16(true, back.0);
    }
    work()
}

/// Does the work in float32 on the device, also inside [`in_bfloat16`]. The operands must be float32 already.
pub fn in_float32<T>(device: Device, work: impl FnOnce() -> T) -> T {
    fn switch(on: bool, cuda: bool) -> bool {
        // SAFETY: a setting of this thread.
        #[expect(unsafe_code, reason = "a function in C++")]
        unsafe {
            gantlet_autocast(on, cuda)
        }
    }
    struct Back {
        on: bool,
        cuda: bool,
    }
    impl Drop for Back {
        fn drop(&mut self) {
            switch(self.on, self.cuda);
        }
    }
    let cuda = device.is_cuda();
    let _back = Back { on: switch(false, cuda), cuda };
    work()
}

/// Does the work with products and convolutions of float32 numbers on NVIDIA's GPUs in TF32 where `on`, and in float32 after
/// it. Of the whole process.
pub fn with_tf32<T>(on: bool, work: impl FnOnce() -> T) -> T {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            allow_tf32(false);
        }
    }
    let _back = Back;
    allow_tf32(on);
    work()
}

/// Whether products and convolutions of float32 numbers on NVIDIA's GPUs may use TF32, with 10 bits of fraction.
pub fn allows_tf32() -> bool {
    // SAFETY: a setting of libtorch's.
    #[expect(unsafe_code, reason = "a function in C++")]
    unsafe {
        gantlet_allows_tf32()
    }
}

/// Whether products and convolutions of float32 numbers on NVIDIA's GPUs may use TF32, with 10 bits of fraction, from now
/// on. Of the whole process.
pub fn allow_tf32(on: bool) {
    // SAFETY: a setting of libtorch's.
    #[expect(unsafe_code, reason = "a function in C++")]
    unsafe {
        gantlet_tf32(on);
    }
}

#[expect(unsafe_code, reason = "autograd's nodes are C++ objects")]
unsafe extern "C" {
    fn gantlet_attach(
        value: *const c_void,
        inputs: *const *const c_void,
        count: usize,
        state: *mut c_void,
        backward: extern "C" fn(*const c_void, *const *mut c_void, usize, *mut c_void, *mut *mut c_void),
        drop: extern "C" fn(*mut c_void),
        again: bool,
    ) -> bool;
    fn gantlet_product(x: *const c_void, w: *const c_void, bias: *const c_void, onednn: bool) -> *mut c_void;
    fn gantlet_recording() -> bool;
    fn gantlet_is_bfloat16() -> bool;
    fn gantlet_bfloat16(on: bool, cuda: bool);
    fn gantlet_autocast(on: bool, cuda: bool) -> bool;
    fn gantlet_tf32(on: bool);
    fn gantlet_allows_tf32() -> bool;
    fn gantlet_parallel(count: usize, state: *const c_void, work: extern "C" fn(*const c_void, usize, usize)) -> bool;
}

extern "C" fn drop_state(state: *mut c_void) {
    // SAFETY: `attach` made it from such a box, and the node that owns it drops it once.
    #[expect(unsafe_code, reason = "the other end of Box::into_raw")]
    drop(unsafe { Box::from_raw(state.cast::<Backward>()) });
}

extern "C" fn call_backward(
    state: *const c_void,
    inputs: *const *mut c_void,
    count: usize,
    gradient: *mut c_void,
    gradients: *mut *mut c_void,
) {
    // SAFETY: `state` is the node's box; inputs and gradient are tensors made for this call, which takes them over; the
    // places for gradients are as many as the inputs.
    #[expect(unsafe_code, reason = "the arguments come from C++")]
    let (backward, inputs, gradient, places) = unsafe {
        let own = |pointer: *mut c_void| Tensor::from_ptr(pointer.cast());
        let inputs: Vec<Tensor> = std::slice::from_raw_parts(inputs, count).iter().map(|&p| own(p)).collect();
        (&*state.cast::<Backward>(), inputs, own(gradient), std::slice::from_raw_parts_mut(gradients, count))
    };
    let wanted: Vec<bool> = places.iter().map(|p| !p.is_null()).collect();
    for ((place, found), wanted) in places.iter_mut().zip(backward(&inputs, &gradient, &wanted)).zip(wanted) {
        if let Some(found) = found.filter(|_| wanted) {
            *place = found.as_ptr().cast_mut().cast();
            std::mem::forget(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Derivatives::{All, One};
    use super::*;

    fn cubed(x: &Tensor, derivatives: Derivatives) -> Tensor {
        let value = tch::no_grad(|| x * x * x);
        attach(
            value,
            &[x],
            derivatives,
            Box::new(|inputs, gradient, _| vec![Some(&inputs[0] * &inputs[0] * 3.0 * gradient)]),
        )
    }

    #[test]
    fn a_node_of_ours_takes_part_in_a_backward_pass() {
        let x = Tensor::from_slice(&[2.0f32, -1.0]).set_requires_grad(true);
        let loss = (cubed(&(&x * 2.0), One) * 0.5).sum(tch::Kind::Float);
        let gradient = Tensor::run_backward(&[&loss], &[&x], false, false).pop().expect("one gradient");
        // d/dx ½(2x)³ = 12x².
        assert_eq!(Vec::<f32>::try_from(gradient).expect("numbers"), [48.0, 12.0]);
    }

    #[test]
    fn nothing_is_recorded_where_no_gradient_is_asked_for() {
        let x = Tensor::from_slice(&[2.0f32]);
        assert!(!cubed(&x, One).requires_grad());
        let x = x.set_requires_grad(true);
        assert!(cubed(&x, One).requires_grad());
        assert!(!tch::no_grad(|| cubed(&x, One)).requires_grad());
    }

    #[test]
    fn bfloat16_is_for_the_products_of_its_work_alone() {
        let (x, one) = (Tensor::from_slice2(&[[1.0f32 + 1.0 / 512.0]]), Tensor::from_slice2(&[[1.0f32]]));
        let rounded = in_bfloat16(Device::Cpu, || x.mm(&one));
        assert_eq!((rounded.kind(), rounded.double_value(&[0, 0])), (tch::Kind::BFloat16, 1.0));
        let exact = x.mm(&one);
        assert_eq!((exact.kind(), exact.double_value(&[0, 0])), (tch::Kind::Float, 1.0 + 1.0 / 512.0));
    }

    #[test]
    fn float32_inside_bfloat16_is_for_its_work_alone() {
        let (x, one) = (Tensor::from_slice2(&[[1.0f32 + 1.0 / 512.0]]), Tensor::from_slice2(&[[1.0f32]]));
        let kinds = in_bfloat16(Device::Cpu, || {
            let inside = in_float32(Device::Cpu, || x.mm(&one));
            [inside.kind(), x.mm(&one).kind()]
        });
        assert_eq!(kinds, [tch::Kind::Float, tch::Kind::BFloat16]);
        assert_eq!(in_float32(Device::Cpu, || x.mm(&one)).kind(), tch::Kind::Float);
        assert_eq!(x.mm(&one).kind(), tch::Kind::Float, "nothing is left switched on");
    }

    #[test]
    fn tf32_is_for_the_work_that_may_use_it_alone() {
        assert!(with_tf32(true, allows_tf32));
        assert!(!allows_tf32());
        assert!(!with_tf32(false, allows_tf32));
    }

    #[test]
    fn a_second_derivative_is_had_or_refused() {
        let x = Tensor::from_slice(&[2.0f32]).set_requires_grad(true);
        assert!(Tensor::f_run_backward(&[&cubed(&x, One)], &[&x], true, true).is_err());
        let slope = Tensor::run_backward(&[&cubed(&x, All)], &[&x], true, true).pop().expect("one gradient");
        let bend = Tensor::run_backward(&[&slope], &[&x], false, false).pop().expect("one gradient");
        assert_eq!((f64::try_from(slope).ok(), f64::try_from(bend).ok()), (Some(12.0), Some(12.0)));
    }
}
