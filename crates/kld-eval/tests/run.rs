//! Run folders: whoever measured a window, in whatever order and after however many deaths, the result has the same bits.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use kld_core::{Observer, Plan, WindowRows, observer::Silent, result::Comparison};
use kld_eval::{
    Cut, Error, Fragment, Work,
    compare::{Job, Summaries},
    conclude::conclude,
    deal::{Next, Store},
    run::{Header, Part, Run, Worker, merge},
    text::Content,
};
use kld_kernels::Kernel;
use kld_models::LogitSource;
use kld_testkit::{RuleModel, arbitrary_logits};
use proptest::prelude::*;
use tempfile::TempDir;

const V: usize = 256;

/// A reference and two candidates on 24 windows of three fragments; one candidate is NaN somewhere.
struct Desk {
    p: RuleModel,
    q: [RuleModel; 2],
    fragments: Vec<Fragment>,
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let model = |salt: u64| {
            RuleModel::new("m", V, move |tokens| {
                let mut row = arbitrary_logits(tokens, V, salt);
                if salt == 3 && tokens.len() % 11 == 9 {
                    row[7] = f32::NAN;
                }
                row
            })
        };
        let text = "the quick brown fox jumps over the lazy dog ".repeat(4);
        let fragment = |name: &str, text: &str| Fragment {
            name: name.to_owned(),
            content: Content::Text(text.to_owned()),
        };
        Self {
            p: model(1),
            q: [model(2), model(3)],
            fragments: vec![
                fragment("a", &text[..100]),
                fragment("b", &text[20..90]),
                fragment("c", &text[5..35]),
            ],
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn job<T>(&self, use_it: impl FnOnce(&Job) -> T) -> T {
        let q: Vec<&dyn LogitSource> = self.q.iter().map(|q| q as &dyn LogitSource).collect();
        let cut = Cut {
            context: 16,
            ..Cut::default()
        };
        use_it(&Job::new(&self.p, &q, &self.fragments, &cut).unwrap())
    }

    fn straight(&self) -> String {
        self.job(|job| {
            let mut summaries = Summaries::new(&job.plan);
            let run = job.measure(work(1), &Silent, &mut summaries).unwrap();
            bits(conclude(&job.plan, &summaries.0, run))
        })
    }

    fn run(&self, name: &str, part: Option<Part>) -> Run {
        self.job(|job| open(&self.folder.path().join(name), &job.plan, part).unwrap())
    }

    /// Works on a run, and dies when `observer` says so: unlike a killed process it says its result, which is thrown away.
    fn work_on(&self, run: &Run, threads: usize, observer: &dyn Observer) -> Comparison {
        self.job(|job| {
            let mut summaries = Summaries::new(&job.plan);
            let record = job
                .measure_in(run, work(threads), observer, &mut summaries)
                .unwrap();
            conclude(&job.plan, &summaries.0, record)
        })
    }
}

fn open(folder: &Path, plan: &Plan, part: Option<Part>) -> Result<Run, Error> {
    let header = Header::new("compare", Kernel::detect(), part, Vec::new());
    Run::open_or_create(folder, &header, plan)
}

fn work(threads: usize) -> Work {
    Work {
        threads,
        kernel: Kernel::detect(),
    }
}

/// A result as text, but for how it came to be; the shortest decimal that is read back to the same f64 stands for its bits.
fn bits(mut result: Comparison) -> String {
    result.run.elapsed_s = 0.0;
    result.run.threads = 0;
    serde_json::to_string_pretty(&result).unwrap()
}

/// Stops the work when it has been asked so many times whether to stop.
struct StopAfter(AtomicUsize);

impl StopAfter {
    fn looks(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }
}

impl Observer for StopAfter {
    fn interrupted(&self) -> bool {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        left.is_err()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_run_that_stops_and_goes_on_is_the_straight_run(
        stops in prop::collection::vec(0_usize..30, 0..5), threads in 1_usize..4,
    ) {
        let desk = Desk::new();
        let run = desk.run("r", None);
        for stop in stops {
            desk.work_on(&run, threads, &StopAfter::looks(stop));
        }
        let result = desk.work_on(&run, threads, &Silent);
        prop_assert_eq!(bits(result), desk.straight());
        prop_assert_eq!(bits(run.comparison().unwrap()), desk.straight());
    }

    #[test]
    fn several_at_one_folder_share_the_windows_and_each_has_the_whole_result(workers in 2_usize..5, threads in 1_usize..3) {
        let desk = Desk::new();
        let run = desk.run("r", None);
        let results: Vec<String> = thread::scope(|scope| {
            let work = || scope.spawn(|| bits(desk.work_on(&run, threads, &Silent)));
            let workers: Vec<_> = (0..workers).map(|_| work()).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        for result in results {
            prop_assert_eq!(result, desk.straight());
        }
    }

    #[test]
    fn parts_merge_to_what_one_machine_would_have_got(of in 1_usize..6, order in any::<prop::sample::Index>(), again in 0_usize..6) {
        let desk = Desk::new();
        let mut parts: Vec<Run> = (1..=of).map(|number| {
            let run = desk.run(&format!("part{number}"), Some(Part { number, of }));
            desk.work_on(&run, 2, &Silent);
            run
        }).collect();
        let by = order.index(of);
        parts.rotate_left(by);
        // One of them twice changes nothing.
        parts.push(parts[again % of].clone());
        let merged = merge(&parts, &desk.folder.path().join("all")).unwrap();
        prop_assert!(merged.contents().unwrap().is_complete());
        prop_assert_eq!(bits(merged.comparison().unwrap()), desk.straight());
    }
}

#[test]
fn merging_is_associative_commutative_and_idempotent_to_the_byte() {
    let desk = Desk::new();
    let part = |number| {
        let run = desk.run(&format!("part{number}"), Some(Part { number, of: 3 }));
        desk.work_on(&run, 1, &Silent);
        run
    };
    let (a, b, c) = (part(1), part(2), part(3));
    let merged = |name: &str, runs: &[&Run]| {
        let runs: Vec<Run> = runs.iter().copied().cloned().collect();
        let run = merge(&runs, &desk.folder.path().join(name)).unwrap();
        let rows = fs::read(run.folder().join("rows/1.rows")).unwrap();
        (run, rows)
    };
    let (ab, ab_rows) = merged("ab", &[&a, &b]);
    let (bc, _) = merged("bc", &[&b, &c]);
    assert_eq!(merged("ab_c", &[&ab, &c]).1, merged("a_bc", &[&a, &bc]).1);
    assert_eq!(merged("ba", &[&b, &a]).1, ab_rows);
    assert_eq!(merged("abab", &[&ab, &ab, &a]).1, ab_rows);
}

#[test]
fn runs_that_are_not_one_do_not_merge() {
    let mut desk = Desk::new();
    let (a, b) = (desk.run("a", None), desk.run("b", None));
    desk.work_on(&a, 1, &Silent);
    // Another machine that computes something else under the same name.
    desk.q[0] = RuleModel::new("m", V, |tokens| arbitrary_logits(tokens, V, 9));
    desk.work_on(&b, 1, &StopAfter::looks(4));
    let all = desk.folder.path().join("all");
    let message = |runs: &[Run]| merge(runs, &all).unwrap_err().to_string();
    let told = message(&[a.clone(), b]);
    assert!(
        told.contains("are not of one run; the rows that they measured for window"),
        "{told}"
    );
    fs::remove_dir_all(&all).unwrap();

    desk.fragments.pop();
    let other = desk.run("other", None);
    let told = message(&[a.clone(), other]);
    assert!(told.contains("are not of one run; windows: "), "{told}");
    let told = merge(std::slice::from_ref(&a), a.folder())
        .unwrap_err()
        .to_string();
    assert!(told.ends_with("is not empty"), "{told}");
}

#[test]
fn a_living_process_keeps_its_windows_and_a_dead_one_gives_them_up() {
    let desk = Desk::new();
    let run = desk.run("r", None);
    let next = |worker: &Worker| Store::<WindowRows, Error>::next(worker).unwrap();
    let first = Worker::join(&run, &Silent).unwrap();
    assert_eq!((next(&first), next(&first)), (Next::Work(0), Next::Work(1)));
    let second = Worker::join(&run, &Silent).unwrap();
    assert_eq!(next(&second), Next::Work(2));
    drop(first);
    assert_eq!(
        (next(&second), next(&second)),
        (Next::Work(0), Next::Work(1))
    );
    // The number of the dead is given out again, its claims are not.
    let third = Worker::join(&run, &Silent).unwrap();
    assert_eq!(next(&third), Next::Work(3));
    drop(second);
    assert_eq!(next(&third), Next::Work(0));
    assert_eq!(fs::read_dir(run.folder().join("rows")).unwrap().count(), 2);
}

#[test]
fn when_all_is_claimed_one_waits_for_the_others() {
    let desk = Desk::new();
    let run = desk.run("r", None);
    let next = |worker: &Worker| Store::<WindowRows, Error>::next(worker).unwrap();
    let first = Worker::join(&run, &Silent).unwrap();
    for visit in 0..run.order().len() {
        assert_eq!(next(&first), Next::Work(visit));
    }
    assert_eq!(next(&first), Next::Nothing);
    let second = Worker::join(&run, &Silent).unwrap();
    assert_eq!(next(&second), Next::Wait);
    drop(first);
    assert_eq!(next(&second), Next::Work(0));
}

/// Makes another run of a run.
type Change = &'static dyn Fn(&mut Header, &mut Plan);

#[test]
fn a_folder_of_another_run_is_refused_and_the_difference_named() {
    let desk = Desk::new();
    let run = desk.run("r", None);
    let refused = |change: Change| {
        let (mut header, mut plan) = (run.header.clone(), run.plan.clone());
        change(&mut header, &mut plan);
        match Run::open_or_create(run.folder(), &header, &plan) {
            Err(Error::RunDiffers { difference, .. }) => difference,
            other => panic!("{other:?}"),
        }
    };
    let cases: [(&str, Change); 8] = [
        ("verb: compare there, score here", &|h, _| {
            h.verb = "score".to_owned();
        }),
        ("version of the metrics", &|h, _| h.metrics += 1),
        ("instruction set of the kernels (KLD_ISA)", &|h, _| {
            h.isa = "abacus".to_owned();
        }),
        ("part: all windows there, 1/2 here", &|h, _| {
            h.part = Some(Part { number: 1, of: 2 });
        }),
        ("model: m (sha256 ", &|_, p| {
            p.candidates[1].sha256 = "0".repeat(64);
        }),
        ("number of candidates: 2 there, 1 here", &|_, p| {
            p.candidates.truncate(1);
        }),
        ("context: 16 there, 32 here", &|_, p| {
            p.protocol.context = 32;
        }),
        ("text (sha256 of its tokens)", &|_, p| {
            p.protocol.token_stream_sha256 = "0".repeat(64);
        }),
    ];
    for (expected, change) in cases {
        let difference = refused(change);
        assert!(difference.starts_with(expected), "{difference}");
    }
    // More or less memory is no other run.
    let (header, mut plan) = (run.header.clone(), run.plan.clone());
    plan.reference.compute = "layer by layer".to_owned();
    assert!(Run::open_or_create(run.folder(), &header, &plan).is_ok());
}

#[test]
fn a_torn_tail_is_cut_and_its_window_measured_again() {
    let desk = Desk::new();
    let run = desk.run("r", None);
    desk.work_on(&run, 1, &StopAfter::looks(9));
    let whole = run.contents().unwrap().windows_done();
    assert!(whole > 2);
    let rows = run.folder().join("rows/1.rows");
    let bytes = fs::read(&rows).unwrap();
    for torn in [1, 100, 1000] {
        fs::write(&rows, &bytes[..bytes.len() - torn]).unwrap();
        assert_eq!(run.contents().unwrap().windows_done(), whole - 1);
        assert_eq!(bits(desk.work_on(&run, 1, &Silent)), desk.straight());
    }
}

#[test]
fn damaged_folders_are_errors_and_no_harm() {
    let desk = Desk::new();
    let run = desk.run("r", None);
    desk.work_on(&run, 1, &Silent);
    let damaged = |file: &str, bytes: &[u8], words: &str| {
        let path = run.folder().join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let outcome = Run::open(run.folder()).and_then(|run| run.comparison());
        fs::write(&path, good).unwrap();
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    };
    let plan = fs::read_to_string(run.folder().join("plan.json")).unwrap();
    damaged("plan.json", b"{", "plan.json");
    damaged(
        "plan.json",
        plan.replace("kld.run/1", "kld.run/9").as_bytes(),
        "expected schema kld.run/1, found \"kld.run/9\"",
    );
    damaged(
        "plan.json",
        plan.replacen("\"windows\": ", "\"windows\": 1", 1)
            .as_bytes(),
        "the number of windows is not that of the text",
    );
    damaged(
        "plan.json",
        plan.replace("      1,\n", "      0,\n").as_bytes(),
        "the order does not visit each window once",
    );
    damaged(
        "transcript.json",
        b"{}",
        "is not the text that the plan was made with",
    );
    damaged(
        "rows/1.rows",
        b"KLDROWS\x02 another version",
        "does not begin as a file of rows",
    );
    // Rows of another plan: whole frames, but not of this size.
    let mut other = b"KLDROWS\x01".to_vec();
    let head = [3_u32, 0, 4];
    let mut frame: Vec<u8> = head.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut checked = frame.clone();
    checked.extend(b"rows");
    frame.extend(crc32(&checked).to_le_bytes());
    frame.extend(b"rows");
    other.extend(frame);
    damaged("rows/1.rows", &other, "window 0 is not what the plan says");
    assert_eq!(bits(run.comparison().unwrap()), desk.straight());
    assert!(matches!(
        Run::open(desk.folder.path()),
        Err(Error::NotARun { .. })
    ));
}

/// CRC-32 as the format's page defines it, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    })
}
