//! Work that is shared out over libtorch's threads. In a process of its own: how many threads there are is a setting of the
//! whole process, and other tests count bits that depend on it.

use gantlet::base::unbound::each_piece;

#[test]
fn every_piece_is_worked_on_once_whatever_the_threads() {
    for threads in [1, 3] {
        tch::set_num_threads(threads);
        for len in [1, 7, 1000] {
            let mut out = vec![0.0; 1000];
            each_piece(&mut out, len, |i, piece| piece.iter_mut().for_each(|x| *x += (1 + i) as f32));
            assert!(out.iter().enumerate().all(|(k, &x)| x == (1 + k / len) as f32), "{threads} threads, {len}");
        }
    }
}
