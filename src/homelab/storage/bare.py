"""Shell that looks at one device, for the probe and for the guard, which compares its own look with the probe's."""

# Of each disk without signatures so many MiB are read: the first, the last, and others evenly between them.
SAMPLES = 32

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
  my ($path, $show) = @ARGV; my ($mib, $n, $same) = (1048576, @SAMPLES@, 1); my $zero = "\0" x $mib;
  open(my $f, "<:raw", $path) or exit 2; my $size = sysseek($f, 0, 2); my $last = $size - $mib; my @at;
  if ($size <= $mib * $n) { for (my $o = 0; $o < $size; $o += $mib) { push @at, $o } }
  else { @at = ((map { $mib * int($_ * int($last / $mib) / ($n - 1)) } 0 .. $n - 2), $last) }
  for my $o (@at) {
    my $want = $size - $o < $mib ? $size - $o : $mib; my ($got, $part) = ("", "");
    sysseek($f, $o, 0);
    while (length($got) < $want) { sysread($f, $part, $want - length($got)) or exit 2; $got .= $part }
    if ($show eq "where") { print "$o $want\n" } elsif ($show) { print $got }
    $same = 0 if $got ne substr($zero, 0, $want)
  }
  exit($same ? 0 : 1)' "/dev/$1" "${2:-}"; }
# What a btrfs keeps its chunks as: DATA|RAID1 METADATA|RAID1 SYSTEM|RAID1
chunks() {
  btrfs inspect-internal dump-tree -t chunk "/dev/$1" 2>/dev/null </dev/null |
    sed -n 's/.* type \([A-Z]*|*[A-Z0-9|]*\).*/\1/p' | grep -E '^(DATA|METADATA|SYSTEM)' | sort -u
}
content() {
  samples "$1" </dev/null && { echo zero; return; }
  [ $? = 1 ] || { echo unreadable; return; }
  samples "$1" content </dev/null | sha256sum | cut -c1-32
}
""".replace("@SAMPLES@", str(SAMPLES))
