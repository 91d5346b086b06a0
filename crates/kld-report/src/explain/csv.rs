//! An explanation as one tidy table: a row per group, and one for all together.

use std::io::{self, Write};

use kld_core::result::{Effect, Explanation};

use crate::{
    Csv, Exporter,
    csv_table::{mean, number},
};

const HEAD: [&str; 15] = [
    "scope",
    "name",
    "matrices",
    "parameters",
    "bytes_before",
    "bytes_after",
    "relative_error",
    "kl_mean_nats",
    "kl_standard_error_nats",
    "noise_kl_mean_nats",
    "noise_kl_standard_error_nats",
    "top1_agreement",
    "not_finite",
    "recipe_step",
    "kl_nats_per_byte",
];

impl Exporter<Explanation> for Csv {
    fn export(&self, e: &Explanation, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(HEAD)?;
        for (index, group) in e.groups.iter().enumerate() {
            let place = e.recipe.iter().position(|step| step.group == index);
            let step = place.map(|place| (place + 1, e.recipe[place].kl_per_byte));
            csv.write_record(row("group", &group.name, &group.effect, step))?;
        }
        csv.write_record(row("together", "", &e.together, None))?;
        csv.flush()
    }
}

fn row(scope: &str, name: &str, e: &Effect, step: Option<(usize, f64)>) -> Vec<String> {
    let mut row = vec![
        scope.to_owned(),
        name.to_owned(),
        e.matrices.to_string(),
        e.parameters.to_string(),
        e.bytes_before.to_string(),
        e.bytes_after.to_string(),
        number(e.relative_error),
    ];
    row.extend(mean(&e.kl));
    row.extend(mean(&e.noise_kl));
    row.extend([number(e.top1_agreement.value), e.not_finite.to_string()]);
    let (place, per_byte) = step.map_or_else(Default::default, |(place, per_byte)| {
        (place.to_string(), number(per_byte))
    });
    row.extend([place, per_byte]);
    row
}
