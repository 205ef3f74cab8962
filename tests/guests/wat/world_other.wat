;; A component, but no plugin.
(component)
