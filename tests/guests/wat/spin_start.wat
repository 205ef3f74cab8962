;; Never gets past its start function.
(func $forever (loop (br 0)))
(start $forever)
