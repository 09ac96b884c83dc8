//! Arrays in host memory: what crosses between data, metrics, pictures and the models.

/// Numbers in row-major order with a shape; the first dimension counts the rows (examples).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Array {
    /// `[n, …]`: rows first, then the shape of one row.
    pub shape: Vec<usize>,
    /// `shape.iter().product()` numbers, the last dimension fastest.
    pub data: Vec<f32>,
}

impl Array {
    /// An array of the given shape over the given numbers.
    ///
    /// # Panics
    /// If the count of numbers is not what the shape says.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "an array of shape {shape:?}");
        Self { shape, data }
    }

    /// An array of zeros.
    pub fn zeros(shape: Vec<usize>) -> Self {
        let len = shape.iter().product();
        Self { shape, data: vec![0.0; len] }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// How many numbers a row has.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        let n = self.row_len();
        &self.data[i * n..(i + 1) * n]
    }

    /// The first `n` rows (all of them if there are fewer).
    pub fn head(&self, n: usize) -> Self {
        let n = n.min(self.rows());
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = n;
        }
        Self { shape, data: self.data[..n * self.row_len()].to_vec() }
    }
}
