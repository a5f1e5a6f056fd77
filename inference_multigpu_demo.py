"""Answer a file of questions in several processes: `torchrun --nproc_per_node 2 inference_multigpu_demo.py --help`."""

from medicalgpt.cli.legacy import inference_multigpu

if __name__ == "__main__":
    inference_multigpu()
