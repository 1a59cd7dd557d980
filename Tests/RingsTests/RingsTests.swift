import Testing

@Suite struct RingsTests {}
