"""Measures this machine and estimates runs over a whole data set.

Run by scripts/launch_workers.sh it measures the workers' exchange as well.
"""

from absl import flags

from scripts import distribution_flags, flag_sets
from scripts.entry_point import run

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_device_flags()
    distribution_flags.define_distribution_flags()
    flags.DEFINE_integer(
        "num_videos", 3_888_919, "Training videos; default: YouTube-8M, 2018."
    )
    flags.DEFINE_integer("num_epochs", 5, "Passes over them.")
    flags.DEFINE_integer("batch_size", 64, "Videos a step of every machine.")
    flags.DEFINE_list("machines", ["1", "2", "4", "8", "16"], "How many.")
    flags.DEFINE_list(
        "network_gigabits",
        ["1", "10", "100"],
        "Gigabits a second that each machine sends and receives.",
    )
    flags.DEFINE_float(
        "exchange_gigabytes",
        None,
        "Gigabytes of gradients that two workers sum a second, where "
        "scripts/launch_workers.sh measured it. Default: the network's rate.",
    )
    flags.DEFINE_integer("num_read_videos", 512, "Videos read to measure it.")
    flags.DEFINE_integer(
        "repeats", 5, "Timed calls of everything, whose median is taken."
    )
    flags.DEFINE_boolean(
        "small_sizes", False, "Tiny networks and data, to try the script."
    )


def main() -> None:
    """Measures and prints the rates and the table."""
    machines = flag_sets.parse_numbers("machines", FLAGS.machines, int)
    networks = flag_sets.parse_numbers(
        "network_gigabits", FLAGS.network_gigabits, float
    )

    workers = distribution_flags.start_workers()
    from distill.benchmark.scale import estimate, measure_rates
    from distill.benchmark.scale_report import print_scale
    from distill.benchmark.suite import choose_sizes

    known = FLAGS.exchange_gigabytes
    if known is not None and not known > 0:
        raise ValueError(f"--exchange_gigabytes must be above 0, got {known}.")
    sizes = choose_sizes(FLAGS.small_sizes, FLAGS.batch_size)
    with workers.together():
        rates = measure_rates(
            sizes,
            workers,
            FLAGS.num_read_videos,
            FLAGS.repeats,
            known and 1e9 * known,
        )
    if workers.is_chief:
        print_scale(
            rates,
            [
                estimate(rates, FLAGS.num_videos, FLAGS.num_epochs, n, g * 1e9)
                for n in machines
                for g in (networks if n > 1 else networks[:1])
            ],
        )


if __name__ == "__main__":
    define_flags()
    run(main)
