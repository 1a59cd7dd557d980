import Testing

@Suite struct EscapeTests {}
