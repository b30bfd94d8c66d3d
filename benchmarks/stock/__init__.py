"""Stock: the adapter with the multilang library's own record processors, and an amazon_kclpy program."""
