//! What a training would be, for `--dry-run`.

use std::time::Instant;

use kld_models::LogitSource;
use kld_report::format::{bytes, count, parameters};
use kld_train::{Example, Job, Teaching, Work, learn, own_text};

/// The plan as text. Its time is that of one window, measured.
pub(crate) fn plan(job: &Job<'_>, work: Work) -> anyhow::Result<String> {
    let settings = &job.header.settings;
    let student = &job.student.model;
    let trainable = job.student.parameters();
    let card = student.card();
    let windows = settings.steps * settings.batch as u64;
    let tokens: usize = job.training.iter().map(Example::counted).sum();
    let counted = tokens as f64 / job.training.len() as f64 * windows as f64;
    let evaluations = settings.steps / settings.evaluate_every + 2;
    let evaluated = 2 * job.held_out.len().min(settings.evaluation_windows) as u64;

    let started = Instant::now();
    let teaching = Teaching {
        teacher: job.teacher,
        objective: settings.objective,
        columns: job.columns,
        kernel: work.kernel,
        own_text: false,
        seed: 0,
    };
    learn(student, &teaching, 0, &job.training[0], 1.0)?;
    let window_s = started.elapsed().as_secs_f64();
    let writing_s = settings.on_policy * writing_s(job)?;
    let threads = work.threads.min(settings.batch) as f64;
    // An evaluation goes forward only: some third of the way forth and back.
    let passes = windows as f64 + (evaluations * evaluated) as f64 / 3.0;
    let seconds = (window_s * passes + writing_s * windows as f64) / threads;

    // Weights, two moments, the sum of the gradients, and those of the windows at work.
    let held = 4 * (card.parameters + trainable * (3 + work.threads as u64));
    let teacher = job.teacher.map_or("the text itself".to_owned(), |t| {
        format!(
            "{} ({} parameters)",
            t.card().name,
            parameters(t.card().parameters)
        )
    });
    Ok(format!(
        "teacher    {teacher}\n\
         student    {}, {} parameters, {} of them trained\n\
         minimised  {}\n\
         text       {} windows to learn from, {} held out\n\
         steps      {} of {} windows: {} tokens counted, each window {:.2} times\n\
         evaluated  {evaluations} times, {evaluated} windows each\n\
         memory     {} for weights, moments and gradients; activations come on top\n\
         time       {}, from one window ({window_s:.3} s)",
        card.name,
        parameters(card.parameters),
        parameters(trainable),
        job.objective(),
        count(job.training.len() as u64),
        count(job.held_out.len() as u64),
        count(settings.steps),
        settings.batch,
        count(counted as u64),
        windows as f64 / job.training.len() as f64,
        bytes(held),
        duration(seconds),
    ))
}

/// How long the student takes to go on with a window, where it is to.
fn writing_s(job: &Job<'_>) -> anyhow::Result<f64> {
    if job.header.settings.on_policy == 0.0 {
        return Ok(0.0);
    }
    let started = Instant::now();
    own_text(&job.student.model, &job.training[0].window, job.columns, 0)?;
    Ok(started.elapsed().as_secs_f64())
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("about {s:.0} s"),
        s if s < 5400.0 => format!("about {:.0} min", s / 60.0),
        s => format!("about {:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_units_that_people_use() {
        let told = [5.2, 600.0, 9000.0].map(duration);
        assert_eq!(told, ["about 5 s", "about 10 min", "about 2.5 h"]);
    }
}
