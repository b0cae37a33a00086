"""Shell that looks at one device, for the probe and for the guard, which compares its own look with the probe's."""

# Of each disk without signatures the first and the last MiB are read, and so many pieces of 64 KiB evenly between
# them: many small ones find more than a few large ones, and take a disk with heads some seconds.
SAMPLES = 512

# perl-base is essential in Debian, and opens exclusively without opening for writing, at which udev would look anew.
BARE = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
signed() { wipefs --no-act --json "/dev/$1" 2>/dev/null </dev/null | tr -d '\n\t'; }
exclusive() { perl -MFcntl -e 'sysopen(my $f, $ARGV[0], O_RDONLY | O_EXCL) or exit 1' "/dev/$1"; }
serial() {
  found="$(lsblk -dno SERIAL "/dev/$1" 2>/dev/null | sed 's/^ *//; s/ *$//')"
  [ -n "$found" ] || found="$(tr -d '\000' 2>/dev/null <"/sys/block/$1/serial")"
  printf %s "$found"
}
samples() { perl -e '
  my ($path, $show) = @ARGV; my ($piece, $n, $same) = (65536, @SAMPLES@, 1); my $zero = "\0" x $piece;
  open(my $f, "<:raw", $path) or exit 2; my $size = sysseek($f, 0, 2); my @at;
  if ($size <= $piece * ($n + 32)) { for (my $o = 0; $o < $size; $o += $piece) { push @at, $o } }
  else {
    @at = ((map { $piece * $_ } 0 .. 15), (map { $piece * int($_ * int($size / $piece) / ($n + 1)) } 1 .. $n),
      (map { $size - $piece * (16 - $_) } 0 .. 15))
  }
  for my $o (@at) {
    my $want = $size - $o < $piece ? $size - $o : $piece; my ($got, $part) = ("", "");
    sysseek($f, $o, 0);
    while (length($got) < $want) { sysread($f, $part, $want - length($got)) or exit 2; $got .= $part }
    if ($show eq "where") { print "$o $want\n" } elsif ($show) { print $got }
    $same = 0 if $got ne substr($zero, 0, $want)
  }
  exit($same ? 0 : 1)' "/dev/$1" "${2:-}"; }
# What a btrfs keeps its chunks as: DATA|RAID1 METADATA|RAID1 SYSTEM|RAID1; without a profile what is single
chunks() {
  btrfs inspect-internal dump-tree -t chunk "/dev/$1" 2>/dev/null </dev/null |
    sed -n 's/|single//; s/.* type \([A-Z0-9|]*\).*/\1/p' | grep -E '^(DATA|METADATA|SYSTEM)' | sort -u
}
content() {
  samples "$1" </dev/null && { echo zero; return; }
  [ $? = 1 ] || { echo unreadable; return; }
  samples "$1" content </dev/null | sha256sum | cut -c1-32
}
""".replace("@SAMPLES@", str(SAMPLES))
