//! Names of users, from passwd(5).

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// uid to name, re-read when the file changes. Users of LDAP and other name services have no name here.
#[derive(Debug)]
pub struct Users {
    path: PathBuf,
    /// Change time and inode of what was read.
    seen: Option<(i64, i64, u64)>,
    names: HashMap<u32, String>,
}

impl Users {
    /// Reads the file at the first `refresh`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), seen: None, names: HashMap::new() }
    }

    /// Reads the file again if it changed. A file that cannot be read leaves the names as they were.
    pub fn refresh(&mut self) {
        let Ok(metadata) = fs::metadata(&self.path) else { return };
        let seen = Some((metadata.ctime(), metadata.ctime_nsec(), metadata.ino()));
        if seen == self.seen {
            return;
        }
        if let Ok(content) = fs::read(&self.path) {
            self.names = parse(&String::from_utf8_lossy(&content));
            self.seen = seen;
        }
    }

    /// The name of a user; empty if there is none.
    pub fn name(&self, uid: u32) -> &str {
        self.names.get(&uid).map_or("", String::as_str)
    }
}

/// The first name of each uid, as getpwuid(3) gives it. Lines that are not passwd(5) are skipped.
fn parse(content: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in content.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(Ok(uid))) = (fields.next(), fields.next(), fields.next().map(str::parse))
            && !name.is_empty()
        {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_wins_and_junk_is_skipped() {
        let names =
            parse("root:x:0:0::/root:/bin/sh\ntoor:x:0:0\n# a:b:7\nnonsense\nx:y:z\n:x:9:9\nwww-data:x:33:33\n");
        assert_eq!(names.len(), 2);
        assert_eq!(names[&0], "root");
        assert_eq!(names[&33], "www-data");
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let path = std::env::temp_dir().join(format!("luytre-passwd-{}", std::process::id()));
        let mut users = Users::new(&path);
        users.refresh();
        assert_eq!(users.name(5), "");
        fs::write(&path, "an:x:5:5\n").expect("a temporary file");
        users.refresh();
        assert_eq!(users.name(5), "an");
        let renamed = path.with_extension("new");
        fs::write(&renamed, "binh:x:5:5\n").expect("a temporary file");
        fs::rename(&renamed, &path).expect("as useradd does it");
        users.refresh();
        assert_eq!(users.name(5), "binh");
        fs::remove_file(&path).expect("ours");
        users.refresh();
        assert_eq!(users.name(5), "binh", "what was known stays");
    }
}
