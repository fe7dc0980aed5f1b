"""What arrived: deliveries found in the landing folder, identified by content and kept."""
