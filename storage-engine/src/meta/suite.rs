//! What every metadata engine must do, whichever it is. Filled by `meta/suite/`.
