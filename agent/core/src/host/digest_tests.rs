use super::*;
use std::fs;
use std::os::unix::fs::symlink;

const NOBODY: u32 = u32::MAX;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("luytre-digest-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn file(&self, content: &[u8]) -> (String, FileKey) {
        let path = self.0.join("program");
        fs::write(&path, content).expect("a temporary file");
        (path.to_str().expect("text").to_owned(), file_key(&fs::metadata(&path).expect("ours")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn digests() -> Digests {
    Digests::start(Path::new("/proc")).expect("a thread")
}

#[test]
fn a_version_of_a_file_is_read_once() {
    let (folder, mut digests) = (Folder::new("once"), digests());
    let (path, key) = folder.file(b"abc");
    assert!(digests.ask(key, NOBODY, &path));
    digests.wait(Duration::from_secs(10));
    // FIPS 180-2, appendix B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digests.get(&key).as_deref(), Some(abc));
    assert!(!digests.ask(key, NOBODY, &path));
    let (path, changed) = folder.file(b"abcd");
    assert_ne!(key, changed);
    assert_eq!(digests.get(&changed), None);
    assert!(digests.ask(changed, NOBODY, &path));
    digests.wait(Duration::from_secs(10));
    assert_eq!(digests.counts(), Counts { hashed: 2, ..Counts::default() });
}

#[test]
fn the_program_of_a_living_process_is_read_wherever_it_lies() {
    let mut digests = digests();
    let key = file_key(&fs::metadata("/proc/self/exe").expect("ours"));
    let large = key.size > SIZE_MAX;
    digests.ask(key, std::process::id(), "/nonexistent");
    digests.wait(Duration::from_secs(60));
    assert_eq!(digests.get(&key).is_none(), large);
}

#[test]
fn another_file_in_its_place_is_not_taken_for_it() {
    let (folder, mut digests) = (Folder::new("another"), digests());
    let (path, key) = folder.file(b"abc");
    fs::remove_file(&path).expect("ours");
    let real = folder.0.join("real");
    fs::write(&real, b"abc").expect("a temporary file");
    symlink(&real, &path).expect("a link");
    digests.ask(key, NOBODY, &path);
    digests.wait(Duration::from_secs(10));
    assert_eq!((digests.get(&key), digests.counts().failed), (None, 1));
    let linked = file_key(&fs::metadata(&real).expect("ours"));
    digests.ask(linked, NOBODY, &path);
    digests.wait(Duration::from_secs(10));
    assert_eq!((digests.get(&linked), digests.counts().failed), (None, 2), "links are not followed");
}

#[test]
fn a_fifo_does_not_hold_it_up() {
    let (folder, mut digests) = (Folder::new("fifo"), digests());
    let path = folder.0.join("fifo");
    let name = std::ffi::CString::new(path.to_str().expect("text")).expect("no NUL");
    // SAFETY: the name ends with NUL.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let key = file_key(&fs::metadata(&path).expect("ours"));
    digests.ask(key, NOBODY, path.to_str().expect("text"));
    digests.wait(Duration::from_secs(10));
    assert_eq!(digests.counts().failed, 1);
}

#[test]
fn what_is_too_large_is_not_read() {
    let (folder, mut digests) = (Folder::new("large"), digests());
    let (path, _) = folder.file(b"");
    File::options().write(true).open(&path).and_then(|file| file.set_len(SIZE_MAX + 1)).expect("a sparse file");
    let key = file_key(&fs::metadata(&path).expect("ours"));
    assert!(!digests.ask(key, NOBODY, &path) && !digests.ask(key, NOBODY, &path));
    assert_eq!(digests.counts(), Counts { too_large: 1, ..Counts::default() });
}

#[test]
fn too_many_are_turned_away_and_nobody_waits_long() {
    let (folder, mut digests) = (Folder::new("many"), digests());
    let (path, key) = folder.file(&vec![7; 1 << 20]);
    for inode in 0..2000 {
        digests.ask(FileKey { inode: key.inode + inode, ..key }, NOBODY, &path);
    }
    digests.wait(Duration::ZERO);
    digests.wait(Duration::from_secs(10));
    let counts = digests.counts();
    assert_eq!(counts.hashed, 1);
    assert_eq!(counts.failed + counts.crowded_out, 1999);
    assert!(counts.crowded_out > 0);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut known = Known::default();
    let key = |inode| FileKey { device: 1, inode, size: 1, changed: (0, 0) };
    (0..REMEMBERED as u64 + 5).for_each(|inode| remember(&mut known, key(inode), None));
    assert_eq!((known.digests.len(), known.order.len()), (REMEMBERED, REMEMBERED));
    assert!(!known.digests.contains_key(&key(4)) && known.digests.contains_key(&key(5)));
}
