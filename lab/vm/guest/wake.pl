# What a VM needs when it wakes: its clock moved by LAB_OFFSET nanoseconds, and randomness of its own.
#
# All copies of one saved state would go on with the same random numbers, and so with the same file-system UUIDs and
# session ids. RNDRESEEDCRNG (linux/random.h) takes the seed up at once.
use strict;
use integer;
use constant { RNDRESEEDCRNG => 0x5207, CLOCK_SETTIME => 227, CLOCK_GETTIME => 228, REALTIME => 0, SECOND => 1000000000 };

my $now = pack("qq", 0, 0);
syscall(CLOCK_GETTIME, REALTIME, $now) == 0 or die "clock_gettime: $!";
my ($seconds, $nanoseconds) = unpack("qq", $now);
my $then = $seconds * SECOND + $nanoseconds + $ENV{LAB_OFFSET};
my $set = pack("qq", $then / SECOND, $then % SECOND);
syscall(CLOCK_SETTIME, REALTIME, $set) == 0 or die "clock_settime: $!";

open(my $random, "+>", "/dev/urandom") or die "/dev/urandom: $!";
syswrite($random, $ENV{LAB_SEED}) or die "seed: $!";
ioctl($random, RNDRESEEDCRNG, 0) or die "reseed: $!";
