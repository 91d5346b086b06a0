//! (quick)
#![allow(missing_docs, clippy::print_stdout, reason = "x")]
use kld_kernels::{Isa, Kernel, PairOptions};
use std::hint::black_box;
use std::time::Instant;

fn fill(n: usize, seed: u64, sd: f32) -> Vec<f32> {
    let mut s = seed;
    (0..n)
        .map(|_| {
            let mut t = 0.0;
            for _ in 0..4 {
                s = s
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                t += (s >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
            }
            t * sd * 1.732
        })
        .collect()
}

fn main() {
    let v = 151_936;
    let rows: usize = std::env::var("ROWS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(300);
    for noise in [0.05_f32, 0.4, 2.0] {
        let p = fill(v * rows, 1, 3.0);
        let d = fill(v * rows, 2, noise);
        let q: Vec<f32> = p.iter().zip(&d).map(|(a, b)| a + b + 0.3).collect();
        for isa in Isa::available() {
            let k = Kernel::with_isa(isa).unwrap();
            let opt = PairOptions {
                observed: Some(77),
                ..Default::default()
            };
            let r = k.pair(&p[..v], &q[..v], &opt).unwrap();
            let s = kld_kernels::scalar::pair(&p[..v], &q[..v], &opt).unwrap();
            let n = if isa == Isa::Scalar { 4 } else { rows };
            let mut best = [(0.0, 0.0); 2];
            let mut times: Vec<f64> = (0..n)
                .map(|i| {
                    let t = Instant::now();
                    black_box(k.pair(&p[i * v..][..v], &q[i * v..][..v], &opt).unwrap());
                    t.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            best[0] = (times[0], times[n / 2]);
            let mut times: Vec<f64> = (0..n)
                .map(|_| {
                    let t = Instant::now();
                    black_box(k.pair(black_box(&p[..49152]), &q[..49152], &opt).unwrap());
                    t.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            best[1] = (times[0], times[n / 2]);
            let g = |v: usize, t: f64| (8 * v) as f64 / t / 1e9;
            print!(
                "{:.1}/{:.1} mem {:.1}/{:.1} cache ",
                g(v, best[0].0),
                g(v, best[0].1),
                g(49152, best[1].0),
                g(49152, best[1].1)
            );
            println!(
                "noise {noise} {isa}: kl {:.3e} err {:.1e} rev {:.1e} js {:.1e} H {:.1e} {:.1e} lse {:.1e}",
                r.kl,
                r.kl / s.kl - 1.0,
                r.reverse_kl / s.reverse_kl - 1.0,
                r.js / s.js - 1.0,
                r.entropy_p - s.entropy_p,
                r.entropy_q - s.entropy_q,
                r.log_sum_exp_p - s.log_sum_exp_p
            );
            assert_eq!(
                (r.top1_p, r.top1_q, r.topk_overlap),
                (s.top1_p, s.top1_q, s.topk_overlap)
            );
            assert_eq!(r.observed.unwrap().rank_p, s.observed.unwrap().rank_p);
        }
    }
}
