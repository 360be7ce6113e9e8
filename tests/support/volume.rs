//! Filesystems of the tests' own: images on loop devices, and tmpfs. For root only.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A kind of filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ext4.
    Ext4,
    /// ext4 without extents: it cannot preallocate, and grows a file as it is written.
    Ext4NoExtents,
    /// XFS.
    Xfs,
}

impl Kind {
    fn mkfs(self) -> Vec<&'static str> {
        match self {
            Self::Ext4 => vec!["mkfs.ext4", "-q", "-F"],
            Self::Ext4NoExtents => vec!["mkfs.ext4", "-q", "-F", "-O", "^extent,^64bit,^metadata_csum"],
            Self::Xfs => vec!["mkfs.xfs", "-q", "-f"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ext4 | Self::Ext4NoExtents => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Why it cannot be used here, if so.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        let root = rustix::process::geteuid().is_root();
        let tool = self.mkfs()[0];
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if !root {
            Some("it needs root".to_owned())
        } else if !has_tool(tool) {
            Some(format!("{tool} is not installed (tests/tools/fault-tools.sh)"))
        } else if !known
            .lines()
            .any(|line| line.split_whitespace().last() == Some(self.name()))
        {
            Some(format!("the kernel has no {}", self.name()))
        } else if !Path::new("/dev/loop-control").exists() {
            Some("there are no loop devices".to_owned())
        } else {
            None
        }
    }
}

/// Whether a program is on the path.
#[must_use]
pub fn has_tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// Runs a tool to its end.
///
/// # Errors
/// When it fails; with what it said.
pub fn run(command: &[&str]) -> Result<String> {
    let (program, arguments) = command.split_first().context("a program")?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {program}"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success(),
        "{}: {said}{}",
        command.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(said)
}

/// A mounted filesystem; dropped, it is gone.
#[derive(Debug)]
pub struct Volume {
    /// Where it is mounted.
    pub at: PathBuf,
    device: Option<String>,
    kind: &'static str,
    mounted: bool,
}

impl Volume {
    /// Makes an image of `megabytes` in `folder`, and mounts it.
    ///
    /// # Errors
    /// When a tool fails.
    pub fn image(kind: Kind, folder: &Path, megabytes: u64) -> Result<Self> {
        let (image, at) = (folder.join("volume.img"), folder.join("volume"));
        File::create_new(&image)?.set_len(megabytes << 20)?;
        fs::create_dir(&at)?;
        let image = image.display().to_string();
        let mut mkfs = kind.mkfs();
        mkfs.push(&image);
        run(&mkfs)?;
        let device = run(&["losetup", "--find", "--show", &image])?;
        let mut volume = Self {
            at,
            device: Some(device),
            kind: kind.name(),
            mounted: false,
        };
        volume.mount()?;
        Ok(volume)
    }

    /// Mounts a tmpfs, with options such as `size=16m,nr_inodes=100`.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn tmpfs(folder: &Path, options: &str) -> Result<Self> {
        let at = folder.join("volume");
        fs::create_dir(&at)?;
        run(&["mount", "-t", "tmpfs", "-o", options, "tmpfs", &text(&at)])?;
        Ok(Self {
            at,
            device: None,
            kind: "tmpfs",
            mounted: true,
        })
    }

    /// Mounts it again, which replays its log.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn mount(&mut self) -> Result<()> {
        let device = self.device.as_deref().context("a device")?;
        run(&["mount", "-t", self.kind, device, &text(&self.at)])?;
        self.mounted = true;
        Ok(())
    }

    /// Changes its options.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remount(&self, options: &str) -> Result<()> {
        run(&["mount", "-o", &format!("remount,{options}"), &text(&self.at)]).map(drop)
    }

    /// Unmounts it, once nobody uses it any more.
    ///
    /// # Errors
    /// When somebody still does.
    pub fn unmount(&mut self) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(20);
        let started = Instant::now();
        while let Err(error) = run(&["umount", &text(&self.at)]) {
            if started.elapsed() > LIMIT {
                return Err(error);
            }
            sleep(Duration::from_millis(10));
        }
        self.mounted = false;
        Ok(())
    }

    /// Nothing can be written until it thaws.
    ///
    /// # Errors
    /// When the filesystem cannot do that.
    pub fn freeze(&self) -> Result<()> {
        run(&["fsfreeze", "-f", &text(&self.at)]).map(drop)
    }

    /// Ends a freeze.
    ///
    /// # Errors
    /// When it was not frozen.
    pub fn thaw(&self) -> Result<()> {
        run(&["fsfreeze", "-u", &text(&self.at)]).map(drop)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted {
            let _ = self.thaw();
            if self.unmount().is_err() {
                let _ = run(&["umount", "-l", &text(&self.at)]);
            }
        }
        if let Some(device) = &self.device {
            let _ = run(&["losetup", "--detach", device]);
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Cuts a filesystem off from its disk, as a power cut would: what it has not logged is gone.
///
/// An ioctl cannot be made in safe Rust, so a small Python program makes it; one serves many cuts, so that starting
/// it does not blur their time.
#[derive(Debug)]
pub struct PowerSwitch {
    python: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

const POWER_SWITCH: &str = "
import fcntl, os, struct, sys, time
for line in sys.stdin:
    at = os.open(line.rstrip('\\n'), os.O_RDONLY)
    before = time.time_ns()
    fcntl.ioctl(at, 0x8004587D, struct.pack('I', 2))
    after = time.time_ns()
    os.close(at)
    print(before // 1000, after // 1000, flush=True)
";

impl PowerSwitch {
    /// Makes one ready.
    ///
    /// # Errors
    /// When there is no python3.
    pub fn ready() -> Result<Self> {
        let mut python = Command::new("python3")
            .args(["-c", POWER_SWITCH])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting python3")?;
        let orders = python.stdin.take();
        let answers = BufReader::new(python.stdout.take().context("its standard output is piped")?);
        Ok(Self {
            python,
            orders,
            answers,
        })
    }

    /// Cuts the power of a mounted filesystem; µs since the Unix epoch just before and just after.
    ///
    /// # Errors
    /// When the filesystem cannot do that.
    pub fn cut(&mut self, at: &Path) -> Result<(i64, i64)> {
        let orders = self.orders.as_mut().context("its standard input is open")?;
        writeln!(orders, "{}", at.display())?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            bail!("the filesystem at {} cannot be shut down", at.display());
        }
        let (before, after) = answer.trim().split_once(' ').context("two times")?;
        Ok((before.parse()?, after.parse()?))
    }
}

impl Drop for PowerSwitch {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.python.wait();
    }
}
