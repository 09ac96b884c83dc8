//! The one place where a tensor's memory is looked at directly: float32, contiguous, on the CPU.

use tch::{Device, Kind, Tensor};

/// The numbers of a tensor, to read.
///
/// # Panics
/// If the tensor is not contiguous float32 on the CPU, which would be a mistake of the program.
pub fn read(tensor: &Tensor) -> &[f32] {
    check(tensor);
    // SAFETY: the tensor is contiguous float32 in host memory and lives as long as the borrow; only this thread runs
    // operations on it.
    #[expect(unsafe_code, reason = "a pass over all parameters in place is what makes the host optimizers fast")]
    unsafe {
        std::slice::from_raw_parts(tensor.data_ptr() as *const f32, tensor.numel())
    }
}

/// The numbers of a tensor, to change in place; tensors that share the memory see it.
///
/// # Panics
/// As [`read`].
pub fn write(tensor: &mut Tensor) -> &mut [f32] {
    check(tensor);
    // SAFETY: as in `read`; the exclusive borrow is of the one handle that the program changes memory through.
    #[expect(unsafe_code, reason = "a pass over all parameters in place is what makes the host optimizers fast")]
    unsafe {
        std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), tensor.numel())
    }
}

/// A tensor over a copy of the numbers, on a device.
pub fn tensor(numbers: &[f32], shape: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(numbers).view(shape).to_device(device)
}

/// A copy of a tensor's numbers in host memory.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    read(&tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous()).to_vec()
}

fn check(tensor: &Tensor) {
    assert!(
        tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && tensor.is_contiguous(),
        "a contiguous float32 tensor on the CPU was expected, got {tensor:?}"
    );
}
