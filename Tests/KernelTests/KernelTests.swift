import Testing

@Suite struct KernelTests {}
