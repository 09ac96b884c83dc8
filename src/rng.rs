//! Random numbers as a pure function of (run seed, purpose, index, step): no state to save, nothing that a pause, a
//! pack or an evaluation can disturb.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011).
//! The normals come from Box-Muller over `libm`, so that the same bits come out on every machine.

mod normal;

/// What a stream of numbers is for. Two purposes never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial weights; the index counts players.
    Init = 1,
    /// Training examples (values for distributions, order for data sets); the index counts sources.
    Data = 2,
    /// Latent draws and labels of a turn; the index counts turns.
    Latent = 3,
    /// Dropout and noise inside networks; the index counts turns.
    Noise = 4,
    /// Interpolation points and perturbations of penalties; the index counts turns.
    Penalty = 5,
    /// Everything that evaluation draws; the index counts metrics or uses.
    Eval = 6,
    /// Latents of pictures, fixed over a run.
    Preview = 7,
    /// What `gantlet sample` draws.
    Sample = 8,
    /// Latents that a reference batch is made of; the index counts players.
    Reference = 9,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
    spare: Option<f32>,
}

impl Stream {
    /// The stream for one purpose of one run at one step. Steps count to 2^40, indices to 2^16.
    pub fn new(seed: u64, purpose: Purpose, index: u32, step: u64) -> Self {
        // The seed is mixed before it becomes the key, so that seeds 0, 1, 2 … share no structure.
        let mixed = split_mix(seed);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of the words are meant")]
        let (key, counter) = (
            [mixed as u32, (mixed >> 32) as u32],
            [0, step as u32, ((step >> 32) as u32) ^ (index << 16), (purpose as u32) | (index & 0xffff_0000)],
        );
        Self { key, counter, block: [0; 4], used: 4, spare: None }
    }

    /// The next 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// A number in [0, 1), one of 2^24.
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// A number from N(0, 1).
    pub fn normal(&mut self) -> f32 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // u lies in (0, 1], so the logarithm is finite.
        let u = ((self.bits() >> 8) + 1) as f32 * (1.0 / 16_777_216.0);
        let v = self.uniform();
        let r = libm::sqrtf(-2.0 * libm::logf(u));
        let (sin, cos) = libm::sincosf(std::f32::consts::TAU * v);
        self.spare = Some(r * sin);
        r * cos
    }

    /// A whole number below `n`, unbiased.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "a number below 0 was asked for");
        // Lemire's method: the low half tells when a draw would be biased.
        loop {
            let wide = u64::from(self.bits()) * u64::from(n);
            #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
            if wide as u32 >= n.wrapping_neg() % n {
                return (wide >> 32) as u32;
            }
        }
    }

    /// Fills with numbers from U(low, high).
    pub fn fill_uniform(&mut self, out: &mut [f32], low: f32, high: f32) {
        for value in out {
            *value = low + (high - low) * self.uniform();
        }
    }

    /// Fills with numbers from N(mean, std²).
    pub fn fill_normal(&mut self, out: &mut [f32], mean: f32, std: f32) {
        let begun = if self.used == 4 { usize::from(self.spare.is_some()) } else { out.len() };
        let (first, rest) = out.split_at_mut(begun.min(out.len()));
        first.iter_mut().for_each(|value| *value = self.normal());
        // From here on four words are four numbers.
        let (many, last) = rest.as_chunks_mut::<{ normal::MANY }>();
        for some in many {
            let mut words = [0; normal::MANY];
            for block in words.as_chunks_mut::<4>().0 {
                *block = philox(self.counter, self.key);
                self.counter[0] = self.counter[0].wrapping_add(1);
            }
            normal::fill(&words, some);
        }
        last.iter_mut().for_each(|value| *value = self.normal());
        for value in out {
            *value = mean + std * *value;
        }
    }
}

/// Place `index` of a random permutation of `0..len`, as a pure function: a Feistel network on the next power of four,
/// walked until it lands inside. Two indices never meet.
///
/// # Panics
/// If `index` is not below `len`.
pub fn permuted(seed: u64, epoch: u64, index: u64, len: u64) -> u64 {
    assert!(index < len, "place {index} of a permutation of {len}");
    let half = (u64::BITS - (len - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half) - 1;
    let mixed = split_mix(seed);
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the words are meant")]
    let key = [mixed as u32, (mixed >> 32) as u32];
    let mut place = index;
    loop {
        let (mut left, mut right) = (place >> half, place & mask);
        for round in 0..4u32 {
            #[expect(clippy::cast_possible_truncation, reason = "halves of at most 32 bits")]
            let mix = philox([right as u32, epoch as u32, (epoch >> 32) as u32, 0x5045_524d ^ round], key);
            (left, right) = (right, left ^ ((u64::from(mix[0]) | u64::from(mix[1]) << 32) & mask));
        }
        place = left << half | right;
        if place < len {
            return place;
        }
    }
}

/// One step of SplitMix64, to turn nearby seeds into unrelated keys.
fn split_mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (a, b) = (u64::from(counter[0]) * 0xd251_1f53, u64::from(counter[2]) * 0xcd9e_8d57);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of the products are meant")]
        let (a_low, b_low) = (a as u32, b as u32);
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b_low, (a >> 32) as u32 ^ counter[3] ^ key[1], a_low];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn streams_of_different_purpose_index_or_step_differ() {
        let first = |p, i, s| Stream::new(7, p, i, s).bits();
        let all = [
            first(Purpose::Data, 0, 0),
            first(Purpose::Data, 0, 1),
            first(Purpose::Data, 1, 0),
            first(Purpose::Noise, 0, 0),
            Stream::new(8, Purpose::Data, 0, 0).bits(),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[..i].contains(a), "{all:?}");
        }
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let mut values = vec![0.0; 200_000];
        Stream::new(1, Purpose::Data, 0, 0).fill_normal(&mut values, 0.0, 1.0);
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let moment = |k: i32| values.iter().map(|&v| (f64::from(v) - mean).powi(k)).sum::<f64>() / n;
        assert!(mean.abs() < 0.01 && (moment(2) - 1.0).abs() < 0.02 && (moment(4) - 3.0).abs() < 0.1);
    }

    #[test]
    fn a_filled_array_has_the_numbers_that_come_one_by_one_wherever_it_begins() {
        for taken in 0..6 {
            for of_bits in [0, 1] {
                for len in [0, 1, 63, 64, 65, 300] {
                    let mut one = Stream::new(5, Purpose::Noise, 1, 7);
                    (0..of_bits).for_each(|_| _ = one.bits());
                    (0..taken).for_each(|_| _ = one.normal());
                    let mut many = one.clone();
                    let mut filled = vec![0.0; len];
                    many.fill_normal(&mut filled, 0.5, 2.0);
                    let expected: Vec<f32> = (0..len).map(|_| 0.5 + 2.0 * one.normal()).collect();
                    assert_eq!(filled, expected);
                    assert_eq!([many.normal(), many.normal()], [one.normal(), one.normal()]);
                }
            }
        }
    }

    #[test]
    fn a_permutation_meets_every_place_once() {
        for len in [1, 2, 5, 64, 1000] {
            let mut places: Vec<u64> = (0..len).map(|i| permuted(3, 9, i, len)).collect();
            places.sort_unstable();
            assert_eq!(places, (0..len).collect::<Vec<_>>());
        }
    }
}
