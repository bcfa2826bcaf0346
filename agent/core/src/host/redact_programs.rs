//! Programs to which a short flag means a password.

/// What the flags of a program mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// The next word is a secret.
    pub secrets: &'static [&'static str],
    /// What follows in the same word is a secret.
    pub attached: &'static [&'static str],
    /// The next word, or the rest of this one, is USER:SECRET or USER%SECRET.
    pub users: &'static [&'static str],
    /// It runs another program.
    pub wraps: bool,
}

impl Short {
    pub const NONE: Self = Self { secrets: &[], attached: &[], users: &[], wraps: false };
}

/// What is known of a program; None for most.
pub fn short(name: &str) -> Option<Short> {
    let of = |secrets, attached, users| Some(Short { secrets, attached, users, wraps: false });
    match name {
        "mysql" | "mysqldump" | "mysqladmin" | "mysqlimport" | "mysqlcheck" | "mysqlshow" | "mysqlbinlog"
        | "mysqlslap" | "mariadb" | "mariadb-dump" | "mariadb-admin" | "mariadb-backup" | "xtrabackup" | "mytop" => {
            of(&[], &["-p"], &[])
        }
        "curl" => of(&["--oauth2-bearer", "--pass", "--proxy-pass"], &[], &["-u", "--user", "-U", "--proxy-user"]),
        "sshpass" => Some(Short { secrets: &["-p"], attached: &["-p"], users: &[], wraps: true }),
        "ldapsearch" | "ldapadd" | "ldapmodify" | "ldapdelete" | "ldapmodrdn" | "ldapwhoami" | "ldapcompare" => {
            of(&["-w"], &["-w"], &[])
        }
        "ldappasswd" => of(&["-w", "-s", "-a"], &["-w"], &[]),
        "redis-cli" | "valkey-cli" => of(&["-a"], &["-a"], &[]),
        "mongo" | "mongosh" | "mongodump" | "mongorestore" | "mongoexport" | "mongoimport" => of(&["-p"], &["-p"], &[]),
        "smbclient" | "rpcclient" | "net" | "smbget" | "smbmap" | "winexe" | "wmic" => of(&[], &[], &["-U", "--user"]),
        "ipmitool" => of(&["-P"], &["-P"], &[]),
        "mosquitto_pub" | "mosquitto_sub" | "mosquitto_rr" => of(&["-P"], &[], &[]),
        "sqlcmd" | "bcp" | "isql-fb" => of(&["-P"], &["-P"], &[]),
        "zip" | "unzip" => of(&["-P"], &["-P"], &[]),
        "7z" | "7za" | "7zr" => of(&[], &["-p"], &[]),
        "rar" | "unrar" => of(&[], &["-p", "-hp"], &[]),
        "openssl" => of(&["-passin", "-passout", "-pass", "-k", "-K"], &[], &[]),
        "useradd" | "usermod" => of(&["-p"], &[], &[]),
        "rdesktop" => of(&["-p"], &["-p"], &[]),
        "snmpwalk" | "snmpget" | "snmpset" | "snmpbulkwalk" => of(&["-c", "-A", "-X"], &[], &[]),
        "vsql" | "cqlsh" | "beeline" => of(&["-p", "-w"], &[], &[]),
        // Elsewhere -p is a port; here it comes after `docker`.
        "login" => of(&["-p"], &[], &[]),
        "skopeo" | "buildah" => of(&["--creds"], &[], &[]),
        "docker" | "podman" | "nerdctl" | "helm" | "kubectl" | "oc" => {
            Some(Short { secrets: &["--creds"], wraps: true, ..Short::NONE })
        }
        "sudo" | "doas" | "env" | "nohup" | "timeout" | "nice" | "ionice" | "xargs" | "exec" | "time" | "setsid"
        | "strace" | "chroot" | "nsenter" | "unshare" | "runuser" | "su" | "stdbuf" | "flock" | "watch"
        | "parallel" | "busybox" | "ssh" | "sh" | "bash" | "dash" | "zsh" | "ash" | "ksh" | "command" | "eval" => {
            Some(Short { wraps: true, ..Short::NONE })
        }
        _ => None,
    }
}
