;; Declares one page more than 64 MiB.
(memory (export "memory") 1025)
