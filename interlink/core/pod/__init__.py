"""A pod → the plan that the pod runner carries out: what each part of a v1.Pod becomes, or why it is refused."""
