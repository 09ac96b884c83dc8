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

/// The numbers of each run of a tensor `[R, …]`, which may lie apart from those of other runs.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    all: &'a [f32],
    runs: usize,
    row: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs
    }

    /// Whether there are none, which no pack has.
    pub fn is_empty(&self) -> bool {
        self.runs == 0
    }

    /// How many numbers each run has.
    pub fn row(&self) -> usize {
        self.row
    }

    /// The numbers of one run.
    pub fn get(&self, run: usize) -> &'a [f32] {
        &self.all[run * self.stride..run * self.stride + self.row]
    }
}

/// The numbers of a tensor, run by run, to read.
///
/// # Panics
/// If the numbers of a run are not contiguous float32 on the CPU, which would be a mistake of the program.
pub fn rows(tensor: &Tensor) -> Rows<'_> {
    let (size, strides) = (tensor.size(), tensor.stride());
    let runs = size[0] as usize;
    let row: i64 = size[1..].iter().product();
    let mut expected = row;
    let whole = size[1..].iter().zip(&strides[1..]).all(|(&n, &stride)| {
        expected /= n.max(1);
        n == 1 || stride == expected
    });
    assert!(
        tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && whole,
        "a float32 tensor on the CPU with contiguous runs was expected, got {tensor:?}"
    );
    let (row, stride) = (row as usize, strides[0] as usize);
    // SAFETY: as in `read`; the last run ends where this slice does.
    #[expect(unsafe_code, reason = "parameters are views of one buffer a player, which is looked at run by run")]
    let all =
        unsafe { std::slice::from_raw_parts(tensor.data_ptr() as *const f32, runs.saturating_sub(1) * stride + row) };
    Rows { all, runs, row, stride }
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
