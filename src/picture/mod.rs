//! Pictures: sample grids, densities, scatters over the critic's surface, animations.
