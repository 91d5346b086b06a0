//! The day that a chat template may ask for.

use minijinja::{Error, ErrorKind};

/// A day of the Gregorian calendar, which `strftime_now` of a chat template formats; the time is midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    year: u16,
    month: u8,
    of_month: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

impl Day {
    /// 26 July 2024, which the templates of Llama 3 write themselves when they are told no day.
    pub const DEFAULT: Day = Day {
        year: 2024,
        month: 7,
        of_month: 26,
    };

    /// A day, or `None` if the calendar has no such day.
    #[must_use]
    pub fn new(year: u16, month: u8, of_month: u8) -> Option<Self> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=days).contains(&of_month).then_some(Self {
            year,
            month,
            of_month,
        })
    }

    /// The day in a format of C's `strftime`, in English.
    pub(super) fn format(self, format: &str) -> Result<String, Error> {
        let mut text = String::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                text.push(character);
                continue;
            }
            match characters.next() {
                // `%-d` is `%d` without the zero in front.
                Some('-') => text.push_str(self.field(characters.next())?.trim_start_matches('0')),
                code => text.push_str(&self.field(code)?),
            }
        }
        Ok(text)
    }

    fn field(self, code: Option<char>) -> Result<String, Error> {
        let month = MONTHS[usize::from(self.month - 1)];
        let weekday = WEEKDAYS[self.weekday()];
        Ok(match code {
            Some('Y') => format!("{:04}", self.year),
            Some('y') => format!("{:02}", self.year % 100),
            Some('m') => format!("{:02}", self.month),
            Some('d') => format!("{:02}", self.of_month),
            Some('B') => month.to_owned(),
            Some('b') => month[..3].to_owned(),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('H' | 'M' | 'S') => "00".to_owned(),
            Some('I') => "12".to_owned(),
            Some('p') => "AM".to_owned(),
            Some('F') => format!("{:04}-{:02}-{:02}", self.year, self.month, self.of_month),
            Some('%') => "%".to_owned(),
            other => {
                let reason = format!(
                    "strftime_now knows no `%{}`",
                    other.map_or_else(String::new, String::from)
                );
                return Err(Error::new(ErrorKind::InvalidOperation, reason));
            }
        })
    }

    /// 0 is Sunday; Sakamoto's method.
    fn weekday(self) -> usize {
        const SHIFTS: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let year = usize::from(self.year) + 400 - usize::from(self.month < 3);
        (year + year / 4 - year / 100
            + year / 400
            + SHIFTS[usize::from(self.month - 1)]
            + usize::from(self.of_month))
            % 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_formatted_as_strftime_does() {
        assert_eq!(Day::DEFAULT.format("%d %b %Y").unwrap(), "26 Jul 2024");
        assert_eq!(
            Day::DEFAULT.format("%A, %B %-d, %y: 100%%").unwrap(),
            "Friday, July 26, 24: 100%"
        );
        assert_eq!(
            Day::new(2000, 2, 29).unwrap().format("%a %F").unwrap(),
            "Tue 2000-02-29"
        );
        assert_eq!(
            Day::new(2026, 1, 4).unwrap().format("%A %-m").unwrap(),
            "Sunday 1"
        );
    }

    #[test]
    fn days_that_do_not_exist_and_formats_that_are_not_known_are_refused() {
        assert_eq!(Day::new(1900, 2, 29), None);
        assert_eq!(Day::new(2024, 13, 1), None);
        assert_eq!(Day::new(2024, 4, 31), None);
        assert!(Day::DEFAULT.format("%Q").is_err());
        assert!(Day::DEFAULT.format("%").is_err());
    }
}
