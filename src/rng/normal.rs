//! Normals by Box-Muller, many at a time: the bits are those of [`Stream::normal`](super::Stream::normal), which asks `libm`
//! for one after the other.
//!
//! `libm` has its logarithm, sine and cosine from FreeBSD's msun (`e_logf.c`, `k_sinf.c`, `k_cosf.c`). For what is asked here the
//! same polynomials are worked out in the same order without a branch, so that several numbers go through one instruction.

use std::f64::consts::FRAC_PI_2;

/// So many numbers are made at a time, of as many random words.
pub(super) const MANY: usize = 64;
const PAIRS: usize = MANY / 2;

/// The numbers that follow from these words, pair by pair.
pub(super) fn fill(words: &[u32; MANY], out: &mut [f32; MANY]) {
    #[cfg(target_arch = "x86_64")]
    {
        // Nothing is fused, and every number is worked on alone: the same bits.
        #[target_feature(enable = "avx2")]
        fn wide(words: &[u32; MANY], out: &mut [f32; MANY]) {
            as_compiled(words, out);
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has been asked.
            #[expect(unsafe_code, reason = "instructions that not every processor of this target has")]
            return unsafe { wide(words, out) };
        }
    }
    as_compiled(words, out);
}

#[inline(always)]
fn as_compiled(words: &[u32; MANY], out: &mut [f32; MANY]) {
    let (mut radius, mut turn) = ([0.0; PAIRS], [0.0; PAIRS]);
    for i in 0..PAIRS {
        radius[i] = distance(words[2 * i]);
        turn[i] = angle(words[2 * i + 1]);
    }
    let (mut sin, mut cos) = ([0.0; PAIRS], [0.0; PAIRS]);
    for i in 0..PAIRS {
        (sin[i], cos[i]) = sin_cos(turn[i]);
    }
    for i in 0..PAIRS {
        (out[2 * i], out[2 * i + 1]) = (radius[i] * cos[i], radius[i] * sin[i]);
    }
}

/// √(−2 ln u) for the u in (0, 1] that a word gives.
#[inline(always)]
fn distance(word: u32) -> f32 {
    (-2.0 * ln(((word >> 8) + 1) as f32 * (1.0 / 16_777_216.0))).sqrt()
}

/// The angle in [0, 2π) that a word gives.
#[inline(always)]
fn angle(word: u32) -> f32 {
    std::f32::consts::TAU * ((word >> 8) as f32 * (1.0 / 16_777_216.0))
}

/// The logarithm of a normal number above 0.
#[inline(always)]
fn ln(x: f32) -> f32 {
    const ROOT_OF_HALF: u32 = 0x3f35_04f3;
    const EVEN: [f32; 2] = [0.400_009_72, 0.242_790_79];
    const ODD: [f32; 2] = [0.666_666_6, 0.284_987_87];
    const LN_2: [f32; 2] = [0.693_138_1, 9.058_001e-6];
    // x is m · 2^k with m from √½ to √2.
    let shifted = x.to_bits() + (1.0f32.to_bits() - ROOT_OF_HALF);
    let k = ((shifted >> 23) as i32 - 127) as f32;
    let f = f32::from_bits((shifted & 0x007f_ffff) + ROOT_OF_HALF) - 1.0;
    let s = f / (2.0 + f);
    let square = s * s;
    let fourth = square * square;
    let series = square * (ODD[0] + fourth * ODD[1]) + fourth * (EVEN[0] + fourth * EVEN[1]);
    let half = 0.5 * f * f;
    s * (half + series) + k * LN_2[1] - half + f + k * LN_2[0]
}

/// Sine and cosine of an angle from 0 to 2π.
#[inline(always)]
fn sin_cos(x: f32) -> (f32, f32) {
    // Up to these, odd multiples of π/4, it counts from 0, π/2, π, 3π/2; above from 2π.
    const UP_TO: [u32; 4] = [0x3f49_0fda, 0x4016_cbe3, 0x407b_53d1, 0x40af_eddf];
    const SIN: [f64; 4] =
        [-0.166_666_666_416_265_24, 0.008_333_329_385_889_463, -0.000_198_393_348_360_966_32, 2.718_311_493_989_822e-6];
    const COS: [f64; 4] =
        [-0.499_999_997_251_031, 0.041_666_623_323_739_06, -0.001_388_676_377_460_993, 2.439_044_879_627_741_4e-5];
    let quarter: i32 = UP_TO.iter().map(|&bound| i32::from(x.to_bits() > bound)).sum();
    let y = f64::from(x) - f64::from(quarter) * FRAC_PI_2;
    let square = y * y;
    let fourth = square * square;
    let cube = square * y;
    let sin = ((y + cube * (SIN[0] + square * SIN[1])) + cube * fourth * (SIN[2] + square * SIN[3])) as f32;
    let cos = (((1.0 + square * COS[0]) + fourth * COS[1]) + (fourth * square) * (COS[2] + square * COS[3])) as f32;
    let (a, b) = if quarter & 1 == 1 { (cos, sin) } else { (sin, cos) };
    (if quarter & 2 == 2 { -a } else { a }, if (quarter + 1) & 2 == 2 { -b } else { b })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `libm` itself.
    #[test]
    fn every_distance_and_every_angle_is_to_the_bit_what_libm_says() {
        for high in 0..1u32 << 24 {
            let word = high << 8;
            let u = (high + 1) as f32 * (1.0 / 16_777_216.0);
            assert_eq!(distance(word).to_bits(), libm::sqrtf(-2.0 * libm::logf(u)).to_bits(), "{u}");
            let (sin, cos) = sin_cos(angle(word));
            let expected = libm::sincosf(angle(word));
            assert_eq!([sin, cos].map(f32::to_bits), [expected.0, expected.1].map(f32::to_bits), "{}", angle(word));
        }
    }
}
