//! How much memory is free: what the machine has, and what the control group of this process may take. Linux only.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes that can be had without swapping and without being ended by the control group.
pub(super) fn free() -> Option<u64> {
    let of_machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|report| available(&report));
    let of_group = fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|groups| free_in_groups(&groups, Path::new("/sys/fs/cgroup")));
    of_machine.into_iter().chain(of_group).min()
}

/// `MemAvailable` of `/proc/meminfo`.
fn available(report: &str) -> Option<u64> {
    let line = report
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// How the two versions of control groups name limit, use, and the pages of files that are given up when memory is short.
struct Names {
    limit: &'static str,
    used: &'static str,
    reclaimable: &'static str,
}

const VERSION_1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};

const VERSION_2: Names = Names {
    limit: "memory.max",
    used: "memory.current",
    reclaimable: "inactive_file",
};

/// The least that any group leaves which this process is in; `groups` is `/proc/self/cgroup`, lines of `number:controllers:path`.
fn free_in_groups(groups: &str, root: &Path) -> Option<u64> {
    let group = |line: &str| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        if controllers.is_empty() {
            return free_in_hierarchy(root, path, &VERSION_2);
        }
        let has_memory = controllers.split(',').any(|name| name == "memory");
        has_memory.then(|| free_in_hierarchy(&root.join("memory"), path, &VERSION_1))?
    };
    groups.lines().filter_map(group).min()
}

/// The least of a group and all above it. In a container the path may be that outside of it, while the container's own group is
/// the root here, so what does not exist is passed over.
fn free_in_hierarchy(root: &Path, path: &str, names: &Names) -> Option<u64> {
    let path = PathBuf::from(path.trim_start_matches('/'));
    path.ancestors()
        .filter_map(|group| free_in_group(&root.join(group), names))
        .min()
}

/// What a group leaves; `None` where it has no limit.
fn free_in_group(folder: &Path, names: &Names) -> Option<u64> {
    let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    let (limit, used) = (number(names.limit)?, number(names.used)?);
    let reclaimable = text("memory.stat").and_then(|stat| {
        let entry = |line: &str| {
            line.split_once(' ')
                .filter(|(name, _)| *name == names.reclaimable)?
                .1
                .parse()
                .ok()
        };
        stat.lines().find_map(entry)
    });
    Some(limit.saturating_sub(used.saturating_sub(reclaimable.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        let folder = root.join(path);
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_group_decides() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        group(
            root,
            "a",
            &[
                ("memory.max", "1000\n"),
                ("memory.current", "700\n"),
                ("memory.stat", "anon 1\ninactive_file 200\n"),
            ],
        );
        group(
            root,
            "a/b",
            &[("memory.max", "max\n"), ("memory.current", "600\n")],
        );
        assert_eq!(free_in_groups("0::/a/b\n", root), Some(500));
        assert_eq!(free_in_groups("0::/elsewhere\n", root), None);
        let first = [
            ("memory.limit_in_bytes", "400\n"),
            ("memory.usage_in_bytes", "100\n"),
            ("memory.stat", "inactive_file 90\ntotal_inactive_file 50\n"),
        ];
        group(root, "memory", &first);
        assert_eq!(
            free_in_groups("9:name=systemd:/\n4:cpu,memory:/outside\n0::/a\n", root),
            Some(350)
        );
    }

    #[test]
    fn the_machine_says_what_it_has() {
        assert_eq!(
            available("MemTotal:  9 kB\nMemAvailable:    2048 kB\n"),
            Some(2048 * 1024)
        );
        assert_eq!(available("MemTotal:  9 kB\n"), None);
    }
}
