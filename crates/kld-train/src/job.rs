//! The loop: steps, evaluations, checkpoints, until all steps are done or patience runs out.
//!
//! Which windows a step learns from, and at which rate, follows from its number; gradients are added up window by window in
//! their order. So the weights after a step depend on neither the number of threads nor on interruptions before it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kld_core::Observer;
use kld_core::estimate::Estimate;
use kld_core::observer::Progress;
use kld_core::result::{CurvePoint, Ended, Training};
use kld_models::tensor_file::Float;
use kld_models::{LogitSource, Window};

use crate::checkpoint::{Checkpoint, State};
use crate::fused::{Learned, Teaching, learn};
use crate::measure::{at_step, measure};
use crate::metrics::{Metrics, StepLine};
use crate::on_policy::{means, own_text};
use crate::run::{Folder, Header};
use crate::seed::seed;
use crate::threads::{Work, in_parallel};
use crate::{Error, Example, Learner, Moments, Order, Result, Settings, Update, clip};

/// A student, who teaches it, and what from.
#[derive(Debug)]
pub struct Job<'a> {
    /// The student Q as it begins.
    pub student: Learner,
    /// The teacher P; `None` where the text teaches.
    pub teacher: Option<&'a dyn LogitSource>,
    /// The columns that are tokens of both.
    pub columns: usize,
    /// What is learnt from.
    pub training: Vec<Example>,
    /// What is judged by; disjoint from it.
    pub held_out: Vec<Window>,
    /// The folder of the run.
    pub folder: PathBuf,
    /// Where the tokenizer's files are, if they are in a folder.
    pub tokenizer_folder: Option<PathBuf>,
    /// What the exported weights are rounded to.
    pub export_as: Float,
    /// What the training is.
    pub header: Header,
    /// All of it as its user would tell it, kept in the folder to be told again.
    pub configuration: String,
    /// What the user should know of how the text was split.
    pub warnings: Vec<String>,
}

impl Job<'_> {
    /// What is minimised, for people.
    #[must_use]
    pub fn objective(&self) -> String {
        let dropout = self.student.model.dropout();
        if dropout.is_none() {
            return self.loss();
        }
        format!("{}; dropout: {dropout}", self.loss())
    }

    fn loss(&self) -> String {
        let settings = &self.header.settings;
        match self.teacher {
            Some(_) if settings.on_policy > 0.0 => format!(
                "{}; on the student's own text, {} of all, reverse-kl",
                settings.objective, settings.on_policy
            ),
            Some(_) => settings.objective.to_string(),
            None => "cross-entropy of the text".to_owned(),
        }
    }
}

/// The held-out gauge may become so many times what it was at first before training counts as diverged.
const FAR: f64 = 3.0;

/// Trains, or goes on with what is in the job's folder, and exports the best student.
///
/// # Errors
///
/// If the folder holds another run, training diverges, a model fails, or a file cannot be read or written.
pub fn train(job: Job<'_>, work: Work, observer: &dyn Observer) -> Result<Training> {
    let started = Instant::now();
    let mut running = Running::begin(job, work)?;
    let ended = running.run(observer)?;
    let model = match ended {
        Ended::Interrupted => None,
        _ => Some(running.export()?),
    };
    Ok(running.result(ended, model.as_deref(), started))
}

struct Running<'a> {
    job: Job<'a>,
    work: Work,
    folder: Folder,
    metrics: Metrics,
    order: Order,
    state: State,
    moments: Moments,
    /// The windows of the training text that are evaluated.
    sample: Vec<Window>,
}

impl<'a> Running<'a> {
    fn begin(mut job: Job<'a>, work: Work) -> Result<Self> {
        let settings = &job.header.settings;
        let folder = Folder::begin(&job.folder, &job.header, &job.configuration)?;
        let (mut state, mut moments) = (State::default(), Moments::default());
        let goes_on = folder.last().exists();
        if goes_on {
            let checkpoint = Checkpoint::read(&folder.last()).map_err(Error::bad_checkpoint)?;
            job.student.set_values(checkpoint.weights)?;
            (state, moments) = (checkpoint.state, checkpoint.moments);
        }
        job.held_out.truncate(settings.evaluation_windows);
        let mut order = Order::new(job.training.len(), !settings.seed);
        let size = job.held_out.len().min(job.training.len());
        let sample: BTreeSet<usize> = order.step(0, size).into_iter().collect();
        let sample = sample.into_iter().map(|i| job.training[i].window.clone());
        Ok(Self {
            sample: sample.collect(),
            metrics: Metrics::open(folder.path(), goes_on.then_some(state.step))?,
            order: Order::new(job.training.len(), settings.seed),
            job,
            work,
            folder,
            state,
            moments,
        })
    }

    fn run(&mut self, observer: &dyn Observer) -> Result<Ended> {
        loop {
            let settings = self.settings();
            let (step, steps) = (self.state.step, settings.steps);
            let is_due = step.is_multiple_of(settings.evaluate_every) || step == steps;
            let is_known = self.state.curve.last().is_some_and(|p| p.step == step);
            if is_due && !is_known {
                self.evaluate().map_err(|e| at_step(e, step))?;
                self.save(&self.folder.last())?;
            } else if step.is_multiple_of(settings.checkpoint_every) && step > 0 {
                self.save(&self.folder.last())?;
            }
            observer.progress(&self.progress());
            if step == steps {
                return Ok(Ended::AllSteps);
            }
            if self.state.stopped {
                return Ok(Ended::EarlyStop);
            }
            if observer.interrupted() {
                self.save(&self.folder.last())?;
                return Ok(Ended::Interrupted);
            }
            self.step().map_err(|e| at_step(e, step + 1))?;
        }
    }

    /// One step of the optimizer, on the gradients of a batch of windows.
    fn step(&mut self) -> Result<()> {
        let started = Instant::now();
        let settings = self.job.header.settings.clone();
        let step = self.state.step;
        let windows = self.order.step(step, settings.batch);
        let mut learned = self.learn_all(&windows)?;
        let count = learned.counted as f64;
        let norm = clip(&mut learned.gradients, settings.clip);
        let loss = learned.loss / count;
        if !(loss.is_finite() && norm.is_finite()) {
            let what = format!("the loss is {loss}, the norm of its gradient {norm}");
            return Err(Error::Diverged { step, what });
        }
        let rate = settings.schedule.at(step, settings.steps);
        let update = Update {
            optimizer: settings.optimizer,
            penalties: &settings.penalties,
            rate,
            step: step + 1,
        };
        let gradients = &mut learned.gradients;
        self.job
            .student
            .apply(&update, gradients, &mut self.moments);
        self.state.step += 1;
        self.state.tokens += learned.counted;
        self.state.loss += learned.loss;
        self.state.loss_tokens += learned.counted;
        self.state.own_text.extend(&learned.own_text);
        self.metrics.step(&StepLine {
            step: step + 1,
            loss,
            divergence: learned.divergence / count,
            nll: learned.nll / count,
            rate,
            gradient_norm: norm,
            tokens: self.state.tokens,
            tokens_per_s: count / started.elapsed().as_secs_f64(),
            own_text: means(&learned.own_text),
        })
    }

    /// The gradient over some windows, divided by the number of tokens that count in all of them together.
    fn learn_all(&self, windows: &[usize]) -> Result<Learned> {
        let own = self.own_windows();
        let examples = self.examples(windows, own)?;
        let counted: usize = examples.iter().map(Example::counted).sum();
        let scale = 1.0 / counted.max(1) as f64;
        let (teaching, student) = (self.teaching(), &self.job.student.model);
        let on_own_text = teaching.on_own_text();
        let mut sum = Learned::default();
        // As many gradients are held at once as there are threads; they are added in the order of the windows.
        for first in (0..examples.len()).step_by(self.work.threads.max(1)) {
            let together = self.work.threads.max(1).min(examples.len() - first);
            let one = |i: usize| {
                let place = first + i;
                let teaching = if place < own { &on_own_text } else { &teaching };
                learn(student, teaching, windows[place], &examples[place], scale)
            };
            let learned = in_parallel(together, self.work.threads, one)?;
            sum.add(learned, self.work.threads);
        }
        sum.gradients = self.job.student.gradients(sum.gradients);
        Ok(sum)
    }

    /// How many windows of the step at hand the student goes on with itself; over many steps the share that is set.
    fn own_windows(&self) -> usize {
        let per_step = self.settings().on_policy * self.settings().batch as f64;
        let until = |step: u64| (step as f64 * per_step).floor() as usize;
        until(self.state.step + 1) - until(self.state.step)
    }

    /// The examples of a step: the first `own` windows as the student goes on with them, the others as they are.
    fn examples(&self, windows: &[usize], own: usize) -> Result<Vec<Example>> {
        let one = |place: usize| {
            let example = &self.job.training[windows[place]];
            if place >= own {
                return Ok(example.clone());
            }
            let (student, columns) = (&self.job.student.model, self.job.columns);
            let seed = seed([self.settings().seed, self.state.step, place as u64]);
            own_text(student, &example.window, columns, seed).map(Example::from)
        };
        in_parallel(windows.len(), self.work.threads, one)
    }

    fn evaluate(&mut self) -> Result<()> {
        let (teaching, student) = (self.teaching(), &self.job.student.model);
        let held_out = measure(student, &teaching, &self.job.held_out, self.work)?;
        let training = measure(student, &teaching, &self.sample, self.work)?;
        let step = self.state.step;
        let (gauge, of_training) = (held_out.gauged(), training.gauged());
        self.check(gauge.value)?;
        let best = self.state.best.as_ref();
        let is_best = best.is_none_or(|(_, best)| gauge.value < best.gauged().value);
        let rate = |step| self.settings().schedule.at(step, self.settings().steps);
        let point = CurvePoint {
            step,
            rate: step.checked_sub(1).map_or(0.0, rate),
            loss: self.state.loss / self.state.loss_tokens as f64,
            gap: gauge.minus(&of_training),
            held_out: gauge,
            training: of_training,
            kl: held_out.divergence(|w| w.kl),
            reverse_kl: held_out.divergence(|w| w.reverse_kl),
            cross_entropy: held_out.mean(|w| w.nll),
            best: is_best,
            own_text: means(&self.state.own_text),
        };
        self.metrics.evaluation(&point)?;
        self.state.curve.push(point);
        (self.state.loss, self.state.loss_tokens) = (0.0, 0);
        self.state.own_text.clear();
        let waited = self.state.patience.waited_after(&held_out);
        let patience = self.settings().patience;
        self.state.stopped = patience.is_some_and(|patience| waited >= patience);
        if self.state.first.is_none() {
            self.state.first = Some(held_out.clone());
        }
        if is_best {
            self.state.best = Some((step, held_out));
            self.save(&self.folder.best())?;
        }
        Ok(())
    }

    /// Refuses to go on where the student has gone astray.
    fn check(&self, gauge: f64) -> Result<()> {
        let first = self.state.curve.first().map(|p| p.held_out.value);
        let limit = first.map_or(f64::INFINITY, |first| FAR * first);
        if gauge.is_finite() && gauge <= limit {
            return Ok(());
        }
        let from = first.map_or(String::new(), |first| format!(", at first {first:.4}"));
        Err(Error::Diverged {
            step: self.state.step,
            what: format!("held out it is {gauge:.4} nats per token{from}"),
        })
    }

    fn save(&self, path: &Path) -> Result<()> {
        let checkpoint = Checkpoint {
            state: self.state.clone(),
            weights: self.job.student.values(),
            moments: self.moments.clone(),
        };
        checkpoint.write(path)
    }

    /// Writes the best student as a Hugging Face folder.
    fn export(&mut self) -> Result<PathBuf> {
        let best = Checkpoint::read(&self.folder.best())?;
        self.job.student.set_values(best.weights)?;
        let model = self.folder.model();
        self.job.student.model.save(
            &model,
            self.job.tokenizer_folder.as_deref(),
            self.job.export_as,
        )?;
        Ok(model)
    }

    fn result(self, ended: Ended, model: Option<&Path>, started: Instant) -> Training {
        let (objective, gauge) = (self.job.objective(), self.teaching().gauge());
        let State {
            step,
            tokens,
            curve,
            first,
            best,
            ..
        } = self.state;
        let Job {
            student,
            teacher,
            training,
            held_out,
            header,
            warnings,
            ..
        } = self.job;
        let fragments: BTreeSet<u32> = held_out.iter().map(|w| w.fragment).collect();
        let (best_step, change) = match (&best, &first) {
            (Some((step, best)), Some(first)) => (*step, best.above(first)),
            _ => (0, Estimate::bare(f64::NAN)),
        };
        Training {
            schema: Training::SCHEMA.to_owned(),
            teacher: teacher.map(|t| t.card().clone()),
            student: student.model.card().clone(),
            objective,
            gauge,
            training_windows: training.len(),
            held_out_windows: held_out.len(),
            held_out_fragments: fragments.len(),
            steps: step,
            steps_planned: header.settings.steps,
            tokens,
            curve,
            best_step,
            change,
            ended,
            model: model.map(|path| path.display().to_string()),
            warnings,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            threads: self.work.threads,
            elapsed_s: started.elapsed().as_secs_f64(),
        }
    }

    fn progress(&self) -> Progress {
        let estimate = self.state.curve.last().map_or(String::new(), |point| {
            format!(
                "held out {:.4} nats (step {})",
                point.held_out.value, point.step
            )
        });
        Progress {
            stage: "steps",
            done: self.state.step as usize,
            total: self.settings().steps as usize,
            estimate,
        }
    }

    fn teaching(&self) -> Teaching<'a> {
        Teaching {
            teacher: self.job.teacher,
            objective: self.settings().objective,
            columns: self.job.columns,
            kernel: self.work.kernel,
            own_text: false,
            seed: seed([self.settings().seed, self.state.step, u64::MAX]),
        }
    }

    fn settings(&self) -> &Settings {
        &self.job.header.settings
    }
}
